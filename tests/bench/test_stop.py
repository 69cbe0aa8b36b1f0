"""Programs of the bench that are stopped, asked for help, or given algorithms that break rules."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from launch import ALLOW, ROOT, launcher, mpirun

MARK = """
import os
from collectives.algorithms.language import algorithm

open(os.environ["MARK"], "w").close()


@algorithm("barrier")
def none(rank, p):
    yield []
"""

OVERLAP = '''
from collectives.algorithms.language import algorithm, recv, send


@algorithm("bcast")
def overlapping(rank, p, buf, root):
    """Lands twice in one place, where the vector is long."""
    place = (rank - root) % p
    steps = []
    if place > 0:
        steps += [recv(buf, (rank - 1) % p)] * (2 if buf.size > 1000 else 1)
    yield steps
    if place < p - 1:
        yield [send(buf, (rank + 1) % p)] * (2 if buf.size > 1000 else 1)


@algorithm("bcast")
def peeking(rank, p, buf, root):
    """Sends what the values tell it to."""
    if rank == root:
        for other in range(p):
            if other != root:
                yield send(buf, other)
    elif not buf.size or buf[-1] != 1e9:
        yield recv(buf[:-1], root) if buf[0] < 0 and buf.size > 9 else recv(buf, root)
'''


@pytest.mark.parametrize(
    "ranks, number",
    [
        (1, signal.SIGTERM),
        (3, signal.SIGINT),
        pytest.param(1, signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(3, signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_what_there_is_is_left(tmp_path, number, ranks):
    path, mark, program = tmp_path / "run.json", tmp_path / "mark", tmp_path / "mark.py"
    program.write_text(MARK)
    start = [launcher(), "-n", str(ranks)] if ranks > 1 else []
    options = [
        "scan",
        "--sizes",
        "8,1K,4M,64M",
        "--budget",
        "50",
        "--json",
        path,
        "--load",
        program,
    ]
    process = subprocess.Popen(
        [*start, sys.executable, "-m", "collectives.bench", *map(str, options)],
        env={**os.environ, **ALLOW, "PYTHONPATH": str(ROOT), "MARK": str(mark)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while not mark.exists() and process.poll() is None:
            time.sleep(0.1)
        time.sleep(3)
        process.send_signal(number)
        out, err = process.communicate(timeout=40)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 128 + number, err
    assert f"Stopped by {number.name}: these are the repetitions until then" in out
    told = json.loads(path.read_text())
    assert told["run"]["stopped"] == f"by {number.name}" and told["results"]
    assert "Traceback" not in err


@pytest.mark.share(5)
@pytest.mark.parametrize("program", ["parameters", "overhead", "reproducible", "forms", "choice"])
def test_help_and_complaints_are_shown_once(program):
    module = f"collectives.bench.{program}"
    shown = mpirun(2, "-m", module, "--help", limit=60)
    assert shown.status == 0 and shown.out.count("usage:") == 1 and not shown.err
    seconds = ["nan"] if program in ("parameters", "overhead", "reproducible") else []
    wrong = mpirun(2, "-m", module, *(seconds or ["--seconds", "-1"]), limit=60)
    assert wrong.status == 2 and wrong.err.count("a positive number of seconds is needed") == 1


def test_a_rule_that_is_broken_costs_its_own_cells(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OVERLAP)
    sizes = ["--sizes", "8,32K", "--budget", "2"]
    run = mpirun(3, "-m", "collectives.bench", "bcast", *sizes, "--load", path, limit=60)
    assert run.status == 1, run.err
    assert "WRONG bcast.overlapping 32 KiB: rank 1 of 3: a message must not land where" in run.out
    assert "WRONG bcast.peeking 32 KiB: rank 1: needs 1 messages of 32760 bytes" in run.out
    assert "14 cells: 12 right, 2 wrong" in run.out


def test_an_exception_on_one_rank_ends_all():
    program = """
from collectives.bench.program import start

def program(comm, arguments, stop):
    if comm.rank == 1:
        raise LookupError("only here")
    comm.Barrier()

start(program)
"""
    run = mpirun(3, "-c", program, limit=30)
    assert run.status != 0 and "rank 1 of 3 failed" in run.err
    assert run.err.count("LookupError: only here") == 1


def test_sizes_beyond_memory_and_files_that_cannot_be_written():
    for wrong, complaint in (
        (["--sizes", "99999999T"], "up to 4 EiB, is needed"),
        (["--sizes", "4000T"], "must fit in the memory|must have at most"),
        (["--json", "/nowhere/run.json"], "a folder that is there is needed"),
    ):
        run = mpirun(2, "-m", "collectives.bench", "bcast", *wrong, limit=60)
        assert run.status == 2 and "Traceback" not in run.err
        assert any(text in run.err for text in complaint.split("|")), run.err
