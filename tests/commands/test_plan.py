"""`plan`: what one rank does, on the page and over MPI."""

import pytest

from collectives.__main__ import main
from collectives.algorithms import REGISTRY

pytestmark = pytest.mark.usefixtures("registry")

MINE = '''
from collectives.algorithms.language import algorithm, copy, recv, scratch, send


@algorithm("bcast")
def mine(rank, p, buf, root):
    """To the root's right neighbour."""
    double = scratch(buf)
    yield copy(buf, double)
    yield send(double, 1) if rank == 0 else recv(buf, 0)
'''


def shown(capsys, *words):
    assert main(["plan", *words]) == 0
    return capsys.readouterr().out


def test_a_ring(capsys):
    """Nothing is copied, and what arrives lands where the sum will lie."""
    text = shown(capsys, "allreduce", "ring", "-p", "4", "--rank", "1")
    first, second = (text[text.index(f"\n{k}  algorithms/") :].splitlines()[2:] for k in (1, 2))
    assert first[0] == "    - copy    sendbuf -> recvbuf" and not first[1]
    assert second[:6] == [
        "    - send    recvbuf[4:8] to 2",
        "    + send    sendbuf[4:8] to 2",
        "    - recv    scratch 1 from 0",
        "    + recv    recvbuf[0:4] from 0",
        "    - reduce  scratch 1 op recvbuf[0:4] -> recvbuf[0:4]",
        "    + reduce  recvbuf[0:4] op sendbuf[0:4] -> recvbuf[0:4]",
    ]
    assert "      recv    recvbuf[4:8] from 0\n" in text
    assert "128 B copied and 32 B of scratch on the page, 0 B copied and 0 B of scratch" in text


def test_length_root_and_place(capsys):
    assert "n = 128 float64, root 2" in shown(capsys, "reduce", "tree", "-n", "1K", "--root", "2")
    text = shown(capsys, "allreduce", "recursive_doubling", "--in-place")
    assert "in place" in text and "send    buffer to 1" in text and "sendbuf" not in text
    assert "send    buf to 1" in shown(capsys, "bcast")
    assert "recv    nothing from 1" in shown(capsys, "barrier", "-p", "2")


def test_every_algorithm_has_a_plan(capsys):
    """Lines fit, and every round of the page is there."""
    for primitive, names in REGISTRY.items():
        for name in names:
            text = shown(capsys, primitive, name, "-p", "2", "--rank", "1")
            assert f"{primitive}.{name}: rank 1" in text
            assert max(map(len, text.splitlines())) <= 100, f"{primitive}.{name}"


def test_a_file_of_ones_own(capsys, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    text = shown(capsys, "bcast", "mine", "-p", "2", "--load", str(path))
    assert "    - copy    buf -> scratch 1" in text and "    + send    buf to 1" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bcast", "--rank", "4"], "rank must be a rank from 0 to 3, got 4"),
        (["bcast", "--root", "-1"], "root must be a rank from 0 to 3, got -1"),
        (["bcast", "--in-place"], "--in-place needs one of allgather, allreduce"),
        (["brodcast"], "choose from bcast"),
        (["bcast", "rign"], "choose from ring"),
    ],
)
def test_mistakes(words, said, capsys):
    assert main(["plan", *words]) == 2
    assert said in capsys.readouterr().err
