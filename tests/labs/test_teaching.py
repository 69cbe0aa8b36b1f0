"""What a teacher is given: scripts for other systems, a launcher, the primer."""

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest
from launch import ROOT
from submissions import ALL, solution

from collectives.errors import ArgumentError
from collectives.labs import grader, gradescope
from collectives.labs.__main__ import _parser, main
from collectives.labs.lab import lab
from collectives.labs.ladder import mpirun

VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
SCHEMA = Path(__file__).with_name("schemas") / "gradescope.schema.json"


def unpack(path, folder):
    """As unzip does it, with the permissions that the zip notes."""
    with zipfile.ZipFile(path) as zipped:
        for info in zipped.infolist():
            file = zipped.extract(info, folder)
            if mode := info.external_attr >> 16:
                os.chmod(file, mode)
        return zipped.namelist()


def test_the_zip_has_what_gradescope_wants(tmp_path, monkeypatch):
    """Two programs at its root, and wheels."""

    def collect(folder, python, machine):
        assert (python, machine) == ("3.12", "x86_64")
        (folder / "pip-26-py3-none-any.whl").write_text("")
        return [*folder.iterdir()]

    monkeypatch.setattr(gradescope, "collect", collect)
    path = tmp_path / "new" / "lab3.zip"
    assert main(["gradescope", "3", str(path), "--python", "3.12", "--leaderboard"]) == 0
    names = unpack(path, tmp_path)
    assert names == ["setup.sh", "run_autograder", "wheels/pip-26-py3-none-any.whl"]
    for name in names[:2]:
        assert os.access(tmp_path / name, os.X_OK)
        text = (tmp_path / name).read_text()
        assert text.startswith("#!/bin/bash\n") and not re.search("@[A-Z]+@", text)
        assert subprocess.run(["bash", "-n", tmp_path / name], check=False).returncode == 0
    command = text[text.index("python -m") :].replace("\\\n", " ")
    words = shlex.split(command)[3:]
    arguments = _parser().parse_args(words)
    assert arguments.lab == "3" and arguments.leaderboard and arguments.exit_zero


def test_wheels_that_cannot_be_had():
    with pytest.raises(ArgumentError, match=r"no such option.*see that `pip download` works"):
        gradescope._pip(["download", "--nothing"])


@pytest.mark.slow
def test_the_zip_grades_without_a_network(tmp_path):
    """As Gradescope does: unpack, setup.sh, run_autograder; then a submission without a file."""
    path = tmp_path / "lab1.zip"
    assert main(["gradescope", "1", str(path), "--python", VERSION]) == 0
    unpack(path, tmp_path / "source")
    (tmp_path / "submission").mkdir()
    environment = {"PATH": os.environ["PATH"], "AUTOGRADER": str(tmp_path), "PIP_NO_INDEX": "1"}
    for name in ("setup.sh", "run_autograder"):
        done = subprocess.run(
            [tmp_path / "source" / name], env=environment, check=False, timeout=300
        )
        assert done.returncode == 0
    results = tmp_path / "results" / "results.json"
    values = json.loads(results.read_text())
    jsonschema.validate(values, json.loads(SCHEMA.read_text()))
    assert "mine.py is needed" in values["tests"][0]["output"]
    solution = (lab("1").solution / "mine.py").read_text()
    (tmp_path / "submission" / "mine.py").write_text(solution("1"))
    subprocess.run(
        [tmp_path / "source" / "run_autograder"], env=environment, check=True, timeout=300
    )
    values = json.loads(results.read_text())
    assert sum(test["score"] for test in values["tests"]) == lab("1").of
    assert not [*tmp_path.glob("venv/lib/*/site-packages/collectives/labs/solutions")]


def test_the_script_for_classroom50(monkeypatch):
    """It installs the library, grades the folder in which it runs, and passes on the status."""
    ran = []

    def run_(command, check):
        ran.append((command, check))
        return subprocess.CompletedProcess(command, 7)

    monkeypatch.setattr(subprocess, "run", run_)
    with pytest.raises(SystemExit, match="7"):
        runpy.run_path(str(gradescope.SCRIPTS / "autograder.py"))
    (pip, checked), ((_, *command), _) = ran
    assert pip[-1] == "mpi-collectives[mpich]" and checked
    assert command[:2] == ["-m", "collectives.labs"]
    arguments = _parser().parse_args(command[2:])
    assert (str(arguments.folder), arguments.lab, arguments.exit_zero) == (".", "3", True)
    assert arguments.classroom50 == "result.json"


def test_the_rule_for_autolab():
    rule = (gradescope.SCRIPTS / "autograde-Makefile").read_text()
    [command] = re.findall(r"-m collectives\.labs (.*)", rule)
    arguments = _parser().parse_args(shlex.split(command.replace("$(LAB)", "3")))
    assert arguments.autolab == "-" and arguments.exit_zero


def test_another_launcher(monkeypatch):
    monkeypatch.setenv(mpirun.LAUNCH, "srun --mpi=pmi2 -n {ranks} 'a b'")
    assert mpirun.launcher() == ["srun", "--mpi=pmi2", "-n", "4", "a b"]


@pytest.mark.slow
def test_ranks_start_with_srun(tmp_path, monkeypatch):
    """A program in the place of srun, that is called as srun would be."""
    usual = mpirun.launcher()
    srun, seen = tmp_path / "srun", tmp_path / "seen"
    lines = [
        "#!/bin/sh",
        f'printf "%s " "$@" > {seen}',
        "shift 2",
        f'exec {shlex.join(usual)} "$@"',
    ]
    srun.write_text("\n".join(lines))
    srun.chmod(0o755)
    monkeypatch.setenv(mpirun.LAUNCH, f"{srun} -n {{ranks}}")
    (tmp_path / "mine.py").write_text(solution("1"))
    chosen = next(each for each in ALL if each.task == "paired").alone
    verdict = grader.grade(chosen, tmp_path)
    assert verdict.right and verdict.of == chosen.of, verdict
    assert re.match(r"-n 4 \S*python\S* -m collectives\.labs\.ranks ", seen.read_text())


def test_the_primer_is_the_same_in_both_languages():
    pages = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in PRIMERS]
    blocks = [re.findall(r"^```.*?^```", page, re.M | re.S) for page in pages]
    assert blocks[0] == blocks[1] and len(blocks[0]) == 5
    assert len({page.count("\n## ") for page in pages}) == 1
    assert all(f"({other})" in page for page, other in zip(pages, reversed(PRIMERS), strict=True))


PRIMERS = ["primer.md", "primer.zh.md"]
