"""What the README shows is what there is."""

import doctest
import inspect
import re
import subprocess
import sys

import numpy as np
import pytest
from launch import ROOT, mpirun

from collectives.__main__ import main
from collectives.algorithms import allreduce
from collectives.algorithms.chapters import compressed
from collectives.catalogue import check_lossy, find
from collectives.errors import RestrictionError
from collectives.mpi.forms.blocking import Blocking
from collectives.mpi.forms.nonblocking import Nonblocking
from collectives.mpi.forms.objects import Objects
from collectives.mpi.forms.persistent import Persistent
from collectives.operators.operator import MAX

README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.S)


def block(start):
    """The Python block that begins so."""
    [found] = [code for code in PYTHON if code.startswith(start)]
    return found


def test_the_ring_is_the_one_in_the_source():
    assert block("@algorithm").strip() == inspect.getsource(allreduce.ring).strip()


def test_the_session_without_mpi():
    session = doctest.DocTestParser().get_doctest(block(">>>"), {}, "README", None, 0)
    assert session.examples
    assert doctest.DocTestRunner().run(session).failed == 0


def test_the_example_algorithm_passes_the_check(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(block("# mine.py"))
    run = subprocess.run(
        [sys.executable, "-m", "collectives", "check", "--load", path],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "allreduce.whole_ring" in run.stdout and "all right" in run.stdout


def test_the_program_runs_on_one_rank():
    program = block("import numpy as np")
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=100, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr


def test_why_says_what_is_shown(capsys):
    shown = README[README.index("    $ python -m collectives why") :].partition("    ...")[0]
    command, *lines = [line.removeprefix("    ") for line in shown.splitlines()]
    assert main(command.split()[4:]) == 0
    assert capsys.readouterr().out.startswith("\n".join(lines).rstrip())


def test_error_says_what_is_shown(capsys):
    page = (ROOT / "docs" / "compression.md").read_text(encoding="utf-8")
    shown = page[page.index("    $ python -m collectives error") :].partition("\n\n")[0]
    command, *lines = [line.removeprefix("    ") for line in shown.splitlines()]
    assert main(command.split()[4:]) == 0
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == lines


def test_the_page_about_compression_says_what_there_is():
    page = (ROOT / "docs" / "compression.md").read_text(encoding="utf-8")
    steps, _, session = re.findall(r"```python\n(.*?)```", page, re.S)
    found = doctest.DocTestParser().get_doctest(session, {}, "compression", None, 0)
    assert found.examples and doctest.DocTestRunner().run(found).failed == 0
    source = inspect.getsource(compressed.compressed_ring)
    for line in steps.splitlines():
        assert line.partition("  #")[0] in source
    wanted = page[page.index("RestrictionError: ") :].partition("```")[0].split(" or tree")[0]
    with pytest.raises(RestrictionError) as raised:
        check_lossy(find("allreduce", "compressed_ring")[0], 4, MAX, np.dtype(np.float32))
    assert str(raised.value).startswith(" ".join(wanted.split()[1:]))


def test_the_files_exist():
    """Every file and folder that the reading list names."""
    listed = README[README.index("## What to read") :]
    for path in re.findall(r"`((?:algorithms|collectives|bench|examples)/[\w/.]*)`", listed):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("program", ["mismatch", "late"])
def test_what_a_failing_program_says(program):
    """The blocks of the page about `Comm` are what its examples print."""
    run = mpirun(4, f"examples/{program}.py")
    page = (ROOT / "docs" / "comm.md").read_text(encoding="utf-8")
    shown = page[page.index(f"examples/{program}.py") :].split("```")[1].strip()
    assert run.out.strip() == shown, run.err


def test_the_page_about_comm_names_every_form():
    page = (ROOT / "docs" / "comm.md").read_text(encoding="utf-8")
    table = page[page.index("| | blocking") :].split("\n\n")[0]
    kinds = Blocking, Nonblocking, Persistent, Objects
    forms = {name for kind in kinds for name in vars(kind) if not name.startswith("_")}
    assert set(re.findall(r"`(\w+)`", table)) == forms


def test_the_page_about_reproducible_sums():
    """Its output is what the example prints, and its program runs on any number of ranks."""
    page = (ROOT / "docs" / "reproducible.md").read_text(encoding="utf-8")
    run = mpirun(4, "examples/reproducible.py")
    assert run.out.strip() == page.split("```")[1].strip(), run.err
    [program] = re.findall(r"```python\n(.*?)```", page, re.S)
    for ranks in (1, 3):
        run = mpirun(ranks, "-c", program)
        assert run.status == 0, run.err
