"""`python -m collectives new`: what it writes is right, and reads as an algorithm should."""

import re
import subprocess
import sys

import numpy as np
import pytest
from launch import ROOT, mpirun

from collectives.__main__ import main
from collectives.algorithms import PRIMITIVES, REGISTRY
from collectives.catalogue import load
from collectives.machine.clock import Clock
from collectives.problems import CAN_BE_IN_PLACE, Problem
from collectives.study.cost import predicted_time
from collectives.study.simulation import simulate
from collectives.study.verify import verify

pytestmark = pytest.mark.usefixtures("registry")

each = pytest.mark.parametrize("primitive", PRIMITIVES)


@pytest.fixture
def new(tmp_path, monkeypatch):
    """Write a file in a folder of its own, and load it."""
    monkeypatch.chdir(tmp_path)

    def make(primitive, file="mine.py"):
        assert main(["new", primitive, file]) == 0
        load(file)
        return REGISTRY[primitive]["mine"]

    return make


@pytest.mark.share(2)
@each
def test_what_is_written_passes_check_and_prove(primitive, new, capsys):
    new(primitive)
    for command in "check", "prove":
        assert main([command, "--load", "mine.py"]) == 0
        assert f"{primitive}.mine: " in capsys.readouterr().out


@each
def test_in_place(primitive, new):
    mine = new(primitive)
    if primitive in CAN_BE_IN_PLACE:
        for p in (1, 2, 5):
            verify(mine, Problem(primitive, p, 12, p - 1, np.dtype(np.int64), in_place=True))


@each
@pytest.mark.parametrize("clock", [Clock(1, 0, 0), Clock(0, 1, 0), Clock(0, 0, 1)])
def test_the_cost_line_is_right(primitive, clock, new):
    mine = new(primitive)
    for p in (1, 2, 3, 8, 13):
        n = 0 if primitive == "barrier" else 24 * p
        assert simulate(primitive, "mine", p=p, n=n, clock=clock).time == pytest.approx(
            predicted_time(mine, p, n, clock)
        )


@pytest.mark.share(3)
@each
def test_the_text_is_clean(primitive, new, tmp_path):
    pytest.importorskip("ruff")  # of the extra `dev`
    new(primitive)
    for command in ("check", "--select=E,F,I,B,UP,W"), ("format", "--check"):
        for options in ("--isolated",), ("--config", ROOT / "ruff.toml"):
            done = subprocess.run(
                [sys.executable, "-m", "ruff", *command, "--no-cache", *options, "mine.py"],
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == 0, done.stdout


def test_the_commands_that_it_names_work(new, capsys, tmp_path):
    new("allreduce")
    check, bench = re.findall(r"python -m (.*)", capsys.readouterr().out)
    assert check == "collectives check --load mine.py"
    arguments = bench.replace("mine.py", str(tmp_path / "mine.py")).split()
    run = mpirun(2, "-m", *arguments, "--sizes", "8", "--budget", "2")
    assert run.status == 0, run.out + run.err
    assert re.search(r"^mine +\d", run.out, re.M)


@pytest.mark.parametrize(
    ("primitive", "file", "complaint"),
    [
        ("brodcast", "mine.py", "a primitive is needed, got 'brodcast'; choose from bcast"),
        ("bcast", "mine.txt", "bcast: the name of a Python file is needed, got mine.txt"),
        ("bcast", "my-own.py", "bcast: a file name that can name a Python function is needed"),
        ("bcast", "while.py", "bcast: a file name that can name a Python function is needed"),
        ("scan", "blelloch.py", "scan: a name that no algorithm has is needed, got blelloch"),
        ("scan", "auto.py", "scan: a name that no algorithm has is needed, got auto"),
        ("scan", "send.py", "a name that is no word of the algorithms' language is needed"),
        ("scan", "there.py", "scan: a file that is not there yet is needed, got there.py"),
        ("scan", "no/mine.py", "scan: a folder that is there is needed, got no"),
    ],
)
def test_one_sentence_says_what_is_wrong(primitive, file, complaint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.py").write_text("precious")
    assert main(["new", primitive, file]) == 2
    assert complaint in capsys.readouterr().err
    assert [x.read_text() for x in tmp_path.iterdir()] == ["precious"]
