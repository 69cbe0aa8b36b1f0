"""The commands where the output is not what they would like, as programs of their own."""

import os
import subprocess
import sys

import pytest
from launch import ROOT

from collectives.console import console

PLAIN = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHON"))}
POSIX = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def run(*arguments, flags=(), **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    variables = {**PLAIN, "PYTHONPATH": str(ROOT), **options.pop("variables", {})}
    command = [sys.executable, *flags, "-m", "collectives", *arguments]
    return subprocess.run(command, env=variables, timeout=60, **options)


@pytest.mark.parametrize("variables", [{"PYTHONIOENCODING": "ascii"}, POSIX], ids=["ascii", "C"])
@pytest.mark.parametrize("arguments", [("list", "bcast"), ("list", "scan", "--bounds")], ids=str)
def test_letters_that_the_encoding_lacks(arguments, variables):
    done = run(*arguments, variables=variables)
    assert done.returncode == 0 and not done.stderr
    assert b"\n".join(done.stdout.splitlines()).isascii()
    if "--bounds" not in arguments:
        assert b"Tr?ff" in done.stdout


def test_facts_from_docstrings_without_docstrings():
    for arguments in (("list", "allreduce"), ("why", "bcast", "-p", "100"), ("--help",)):
        usual, stripped = run(*arguments), run(*arguments, flags=["-OO"])
        assert usual.returncode == stripped.returncode == 0
        assert usual.stdout == stripped.stdout and usual.stdout


def test_names_between_colons_stay(capsys):
    console().print(":ring:segments=2")
    assert capsys.readouterr().out == ":ring:segments=2\n"


def test_nobody_reads():
    reader, writer = os.pipe()
    os.close(reader)
    done = run("list", stdout=writer)
    os.close(writer)
    assert done.returncode == 141 and not done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux")
def test_output_that_cannot_be_written():
    with open("/dev/full", "w") as full:
        done = run("list", stdout=full)
    assert done.returncode == 1
    assert done.stderr == b"the output cannot be written: No space left on device\n"


def test_no_output_at_all():
    done = run("list", "bcast", preexec_fn=lambda: os.close(1))
    assert done.returncode == 0 and not done.stderr
