"""The command line without MPI."""

import pytest

from collectives.__main__ import main

pytestmark = pytest.mark.usefixtures("registry")

WRONG = '''
from collectives.algorithms.language import algorithm, copy


@algorithm("allreduce")
def alone(rank, p, sendbuf, recvbuf):
    """Wrong from two ranks on."""
    yield copy(sendbuf, recvbuf)
'''


def test_list(capsys):
    assert main(["list", "scan"]) == 0
    shown = capsys.readouterr().out
    assert "Hillis, Steele" in shown and "ceil(lg(p))*(alpha + n*beta + n*gamma)" in shown


def test_count(capsys):
    assert main(["count", "allreduce", "-p", "8", "-n", "1M"]) == 0
    [ring] = [x for x in capsys.readouterr().out.splitlines() if x.startswith("ring ")]
    assert ring.split()[1:] == ["14", "112", "1.75", "MiB", "14", "MiB", "7", "56"]


@pytest.mark.parametrize("command", ["check", "prove"])
def test_right(command, capsys):
    assert main([command, "bcast.tree", "gather.ring", "-p", "5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all("all right" in line for line in lines)


@pytest.mark.parametrize("command", ["check", "prove"])
def test_wrong(command, capsys, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(WRONG)
    assert main([command, "--load", str(path), "-p", "3"]) == 1
    assert "WRONG allreduce.alone: rank 0 of 2" in capsys.readouterr().out


def test_unknown(capsys):
    assert main(["list", "brodcast"]) == 2
    assert "choose from bcast" in capsys.readouterr().err
    assert main(["check", "--load", "nowhere.py"]) == 2
    assert "nowhere.py" in capsys.readouterr().err
