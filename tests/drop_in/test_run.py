"""`python -m collectives run`: a program runs as it does without, but for its collectives."""

import os
import subprocess
import sys
import zipfile

import pytest
from launch import ROOT, mpirun

# What a program can see of how it was started.
LOOKS = """
import pickle, sys
class Mine: pass
print(sys.argv, sys.path[0], __name__, __package__, __file__, __spec__ and __spec__.name)
print(sorted({name for name in globals() if name.startswith("__")} - {"__annotations__"}))
print(sys.modules["__main__"].__dict__ is globals(), pickle.dumps(Mine))
print(sys.stdout.errors, sys.stderr.errors)
"""
ENDS = {
    "exit": "import sys; sys.exit(3)",
    "exit with words": "raise SystemExit('no more')",
    "error": "def f():\n    raise FileNotFoundError('gone')\nf()",
    "error of ours": "import collectives\ncollectives.find('brodcast')",
    "syntax": "print(1\n",
    "import": "import nowhere_to_be_found",
    "hook": "import sys\nsys.excepthook = lambda *e: print('hooked', e[0])\n1 / 0",
    "atexit": "import atexit, __main__\nx = 5\natexit.register(lambda: print(__main__.x))",
}


def python(*arguments, cwd):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": path},
    )


def alike(cwd, *arguments):
    """The same program without us and with us: it prints the same, and ends alike."""
    alone = python(*arguments, cwd=cwd)
    ours = python("-m", "collectives", "run", *arguments, cwd=cwd)
    assert (ours.stdout, ours.stderr, ours.returncode) == (
        alone.stdout,
        alone.stderr,
        alone.returncode,
    )
    return alone


@pytest.mark.share(2)
@pytest.mark.parametrize(
    "arguments",
    [
        ("app.py",),
        ("app.py", "-m", "--check", "--c", "--", "x"),
        ("inner/app.py", "-h"),
        ("-m", "app", "--counts", "-m", "x"),
        ("-m", "package", "--timeout"),
        ("folder", "x"),
        ("archive.zip",),
    ],
    ids=" ".join,
)
def test_it_finds_itself_as_always(tmp_path, arguments):
    for name in ("app", "inner/app", "package/__init__", "package/__main__", "package/part"):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text("" if name.endswith("__init__") else LOOKS)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "__main__.py").write_text(LOOKS)
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", LOOKS)
    assert alike(tmp_path, *arguments).returncode == 0


@pytest.mark.share(2)
@pytest.mark.parametrize("end", ENDS)
def test_it_ends_as_always(tmp_path, end):
    (tmp_path / "app.py").write_text(ENDS[end])
    alike(tmp_path, "app.py")


def test_an_interrupt(tmp_path):
    (tmp_path / "app.py").write_text("raise KeyboardInterrupt")
    done = python("-m", "collectives", "run", "app.py", cwd=tmp_path)
    assert done.returncode == 130
    assert done.stderr.startswith("Traceback") and "run.py" not in done.stderr


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((), "run: a program is needed, got none"),
        (("nowhere.py",), "run: needs a program that can be read, got 'nowhere.py'"),
        (("--timeout", "-1", "app.py"), "--timeout must be seconds above 0, got -1"),
        (("--algorithm", "rung", "app.py"), "the name of an algorithm is needed, got 'rung'"),
        (("--algorithm", "bcast=rung", "app.py"), "bcast: the name of an algorithm is needed"),
    ],
)
def test_what_cannot_be_run(tmp_path, arguments, words):
    (tmp_path / "app.py").write_text("print('ran')")
    done = python("-m", "collectives", "run", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and words in done.stderr and not done.stdout


PROGRAM = """
import sys
import mpi4py
mpi4py.rc.recv_mprobe = False
mpi4py.rc.initialize = "late" not in sys.argv
from mpi4py.MPI import COMM_WORLD, COMM_SELF
from mpi4py import MPI
import numpy as np

class Thing:
    pass

if "late" in sys.argv:
    assert not MPI.Is_initialized()
    MPI.Init_thread()
rank, p = COMM_WORLD.rank, COMM_WORLD.size
assert type(COMM_WORLD).__name__ == type(COMM_SELF).__name__ == "Comm"
assert MPI.COMM_WORLD is COMM_WORLD and not mpi4py.rc.recv_mprobe
if rank == 0:
    print(*[COMM_WORLD.algorithm_for(name) for name in ("bcast", "allreduce", "scan")])
total, mine = np.empty(5, int), np.arange(5) + rank
for _ in range(3):
    COMM_WORLD.Allreduce(mine, total)
assert isinstance(COMM_WORLD.bcast(Thing()), Thing)
first = COMM_WORLD.Create_group(COMM_WORLD.group.Incl([0]))
assert rank or first.allreduce(3) == 3
half = COMM_WORLD.Split(rank % 2)
half.Ibarrier().Wait()
half.Free()
assert COMM_SELF.allreduce(rank) == rank
if "fails" in sys.argv:
    if rank == 1:
        raise ValueError("only here")
    COMM_WORLD.Barrier()
if "early" in sys.argv:
    MPI.Finalize()
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


@pytest.mark.parametrize("words", [(), ("late", "early")], ids=" ".join)
def test_what_ran(program, words):
    """Also where the program starts MPI after its import, and ends it before its own end."""
    options = "--algorithm", "allreduce=ring_segmented:segments=2,bcast=naive", "--counts"
    done = mpirun(3, "-m", "collectives", "run", *options, program, *words)
    assert done.status == 0, done.err
    first, *lines = done.out.splitlines()
    assert first == "naive ring_segmented:segments=2 recursive_doubling"
    [ring] = [line.split() for line in lines if line.startswith("allreduce.ring_segmented")]
    assert ring[:2] == ["allreduce.ring_segmented", "3"]
    assert any(line.startswith("bcast.naive, for bcast (object)") for line in lines)
    assert any(line.startswith("barrier.") for line in lines), "of a communicator that is gone"


def test_a_rank_that_fails_ends_all(program):
    done = mpirun(3, "-m", "collectives", "run", "--check", "--counts", program, "fails")
    assert done.status != 0 and "What ran" not in done.out
    trace = done.err[done.err.index("Traceback") :]
    assert "ValueError: only here" in trace and "commands" not in trace
