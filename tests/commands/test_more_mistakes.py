"""Further mistakes, and what else `check` can do: files of one name, JSON, tracebacks."""

import json
import subprocess
import sys

import pytest
from mistaken import CHAIN, FLAT, chain, checked, expect, flat, page, whole

from collectives.__main__ import main
from collectives.algorithms import REGISTRY
from collectives.study import examine

__all__ = ["checked"]

MISTAKES = {
    "a peer that is a float": (
        whole(("send(a, right)", "send(a, (rank + 1) % p / 1)")),
        "a peer must be a rank from 0 to 1, got 1.0 ({here}, round 2, j = 0)",
        "ranks are integers: divide with `//`",
    ),
    "off-root buffer": (
        page("gather", "yield copy(sendbuf, recvbuf[rank])  # here\n"),
        "rank 1 of 2: an algorithm must come to its end, got TypeError: 'NoneType' object is not "
        "subscriptable ({here}, round 1)",
        "a buffer is None on ranks for which it means nothing",
    ),
    "yields nothing": (
        page("barrier", "yield  # here\n"),
        "yield a step, or several in a tuple or a list, got None ({here}, round 1)",
        "a bare `yield`, or a function without `return`, gives None",
    ),
    "a message left over": (
        page(
            "bcast",
            "yield from bcast.tree(rank, p, buf, root)\n"
            "if rank != root:\n    yield send(buf, root)  # here\n",
        ),
        "deadlock: rank 1 waits in send to 0 ({here}, round 2), rank 0 has finished",
        "let rank 0 recv from rank 1 before it ends, or leave this send out",
    ),
    "a word not imported": (
        page("barrier", "for d in distances(p):  # here\n    yield []\n"),
        "got NameError: name 'distances' is not defined ({here}, round 1)",
        "write `from collectives.algorithms.language import distances`",
    ),
    "used before it is set": (
        page("allreduce", "if rank:\n    x = sendbuf\nyield copy(x, recvbuf)  # here\n"),
        "got UnboundLocalError",
        "give x a value on every way that leads here",
    ),
    "a barrier that opens early": (
        page(
            "barrier",
            "left, right = neighbours(rank, p)\n"
            "yield [send(NOTHING, right), recv(NOTHING, left)][: 2 * (p > 1)]\n",
        ),
        "rank 0 of 3 leaves and has not heard of 1",
        "smallest case: p = 3\n",
        "every rank must hear from every other",
    ),
    "blocks given whole": (
        page("reduce_scatter", "yield copy(sendbuf, recvbuf)  # here\n"),
        "copy needs a one-dimensional numpy view or a list of them, got 1 blocks ({here}, round 1)",
        "the vector behind the blocks is `blocks.buf`",
    ),
    "numpy writes into a buffer": (
        page("bcast", "buf[:] = buf  # here\nyield from bcast.tree(rank, p, buf, root)\n"),
        "all work on data must be steps, got an assignment to elements between two yields ({here}",
    ),
    "a copy of numpy's": (
        page("bcast", "mine = buf.copy()  # here\nyield copy(mine, buf)\n"),
        "all work on data must be steps, got .copy() of a buffer between two yields ({here}",
    ),
    "stops when all is zero": (
        whole(("(p - 1):", "(p - 1):\n    if not a.any():\n        return")),
        "never on values, got numpy.logical_or of elements (mine.py:",
        "round 2, j = 0)",
    ),
    "looks at values by way of numpy": (
        flat(
            ("if rank == root:", "seen = np.asarray(buf)\nif rank == root:"),
            (
                "    yield [",
                "    if seen.size and seen[0] < 0:\n        yield []  # here\n    yield [",
            ),
        ),
        "rank 0 of 1: what is yielded must depend on ranks and lengths, never on values, got other "
        "steps with other numbers (mine.py:20, round 2)",
        "smallest case: p = 1, n = 1 element, root 0\n",
        "the same steps are replayed with other data: decide by rank, p, root and sizes",
    ),
    "looks at values behind the buffer": (
        flat(
            (
                "yield recv(buf, root)",
                "yield recv(buf, root)\n    if any(memoryview(buf)):\n        yield []",
            )
        ),
        "rank 1 of 2: what is yielded must depend on ranks and lengths, never on values",
    ),
    "exits": (
        page("barrier", "raise SystemExit  # here\nyield []\n"),
        "got SystemExit:  ({here}, round 1)",
        "an algorithm ends by coming to its last line",
    ),
    "blocks of the wrong rank": (
        page(
            "alltoall",
            """
            yield copy(sendbuf[rank], recvbuf[rank])
            for k in range(1, p):
                to, source = (rank + k) % p, (rank - k) % p
                yield send(sendbuf[rank], to), recv(recvbuf[source], source)  # here
            """,
        ),
        "rank 0 of 2: needs 8 bytes from rank 1 ({here}, round 2, k = 1), got 0 ({here}, round 2",
        "cut the vector alike on both ranks",
    ),
    "a step called and dropped": (
        page(
            "bcast",
            """
            if rank == root:
                for d in range(p):
                    if d != root:
                        send(buf, d)  # here
            else:
                yield recv(buf, root)
            """,
        ),
        "rank 0 has finished",
        "a step happens only if it is yielded ({here}): write `yield send(buf, d)`",
    ),
    "reduce onto itself": (
        page("allreduce", "yield copy(sendbuf, recvbuf)\nyield reduce(recvbuf, recvbuf)  # here\n"),
        "the operands of reduce must not overlap, got reduce of 1 elements ({here}, round 2)",
        "let one of them lie in scratch(...)",
    ),
    "every other element": (
        page("bcast", "yield copy(buf[::2], buf[: buf[::2].size])  # here\n"),
        "copy needs contiguous views",
        "a slice may have no stride",
    ),
    "a wrong segment size": (
        chain(("split(buf, segments)", "split(buf, 4)")),
        "rank 1 of 2: element 1 = {}: 0 missing, never written",
        "smallest case: p = 2, n = 3 elements, root 0, segments = 1\n",
    ),
    "no Cost line": (
        page("bcast", FLAT, doc='    """One more.\n\n    Restrictions: none\n    """\n'),
        "bcast.mine: a line `Cost:` is needed in the docstring, got none",
        "write it like `Cost: alpha + n*beta`",
    ),
    "scan that sums all": (
        page(
            "scan",
            "from collectives.algorithms import allreduce\n"
            "yield from allreduce.ring(rank, p, sendbuf, recvbuf)  # here\n",
            ", commutative=True",
        ),
        "rank 0 of 2: element 0 = {0, 1}: 1 does not belong",
        "look whose contributions are in what is sent or added here",
    ),
    "root's data forgotten": (
        page(
            "reduce",
            """
            if rank == root:
                yield from (recv(recvbuf, r) for r in range(p) if r != root)
            else:
                yield send(sendbuf, root)
            """,
        ),
        "rank 0 of 1: block 0 = {}: 0 missing, never written",
    ),
    "lengths of a pair": (
        page(
            "bcast",
            "yield from ([] for _ in ())\nif rank == root:\n"
            "    yield [send(buf[: rank + 1], d) for d in range(p) if d != root]\n"
            "else:\n    yield recv(buf, root)  # here\n",
        ),
        "needs 16 bytes from rank 0",
        "cut the vector alike on both ranks",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name, checked):
    expect(checked, *MISTAKES[name])


def test_two_files_with_one_name(checked, capsys):
    with open("good.py", "w") as file:
        file.write(flat().replace("(p-1)*(alpha + n*beta)", "(p-1)*alpha + (p-1)*n*beta"))
    status, said = checked(chain(("seg[k], left", "seg[k], right")), "--load", "good.py")
    assert status == 1 and "bcast.good:mine: 1" in said and "WRONG bcast.mine:mine: dead" in said
    assert main(["check", "bcast.good:mine", "--load", "mine.py", "--load", "good.py"]) == 0
    assert "bcast.good:mine: " in capsys.readouterr().out
    assert main(["count", "bcast.mine:mine:segments=2", "tree", "-p", "2"]) == 0
    assert "mine:mine:segments=2  " in capsys.readouterr().out


def test_right(checked):
    text = flat().replace("(p-1)*(alpha + n*beta)", "(p-1)*(alpha + n*beta)")
    status, said = checked(text)
    assert status == 0 and said.endswith(" runs, p up to 5, all right\n")


def test_a_file_is_read_again(checked):
    wrong = whole(options="")
    assert checked(wrong)[0] == 1
    status, said = checked(whole(("for j", "one = 1\nfor j"), options=""))
    assert status == 1 and "(mine.py:21)" in said


def test_json(checked):
    status, said = checked(flat(("rank == root", "rank == 0")), "--json")
    [found] = json.loads(said)
    assert status == 1 and found["algorithm"] == "bcast.mine" and found["right"] is False
    assert found["case"] | {"p": 2, "root": 1, "n": 0, "in_place": False} == found["case"]
    assert found["message"].startswith("bcast.mine: ") and found["hint"]


def test_traceback(checked):
    status, said = checked(chain(("split(", "spilt(")), "--traceback")
    assert status == 1 and "Traceback" in said and said.rstrip().endswith("is not defined")
    status, said = checked("import nothing_so_called\n", "--traceback")
    assert status == 2 and "Traceback" in said and "mine.py:1: a file that can be run" in said


def test_all_of_a_primitive(registry, capsys):
    assert main(["check", "barrier", "scan", "naive", "-p", "3"]) == 0
    names = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [f"barrier.{name}" for name in registry["barrier"]] + ["scan.naive"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["bcast.rign"], "choose from ring"),
        (["bcast", "rign"], "choose from ring"),
        (["ring"], "ring: needs its primitive before it, got none; write barrier.ring"),
        (["brodcast.ring"], "a primitive is needed, got 'brodcast'; choose from bcast"),
        (["bcast.ring:segmens=8"], "no parameter 'segmens'; choose from segments"),
    ],
)
def test_names(names, said, capsys):
    for command in "check", "prove", "count":
        assert main([command, *names]) == 2
        assert said in capsys.readouterr().err


def test_own_algorithm_beside_the_candidates(checked, capsys):
    checked(chain())
    for name in (["bcast.mine:segments=2"], ["bcast", "mine:segments=2"]):
        assert main(["why", *name, "--load", "mine.py", "-p", "4"]) == 0
        said = capsys.readouterr().out
        assert "beside  mine:segments=2, no candidate, takes" in said
        assert any(line.startswith("mine:segments=2 ") for line in said.splitlines())
        assert main(["explain", *name, "--load", "mine.py", "-p", "2"]) == 0
        assert "bcast.mine, p = 2" in capsys.readouterr().out


def test_prove_has_the_same_words(checked, capsys):
    text = whole(("send(a, right)", "send(recvbuf, right)"))
    _, checks = checked(text)
    assert main(["prove", "--load", "mine.py"]) == 1
    proofs = capsys.readouterr().out
    words = "contribution 2 twice, last touched in round 3 (mine.py:20)"
    assert words in checks and words in proofs
    assert checks.splitlines()[-1] == proofs.splitlines()[-1] and "what to do: send" in proofs


@pytest.mark.share(50)
@pytest.mark.parametrize(
    "algorithm", [one for names in REGISTRY.values() for one in names.values()], ids=str
)
def test_algorithms_of_the_library(algorithm):
    assert examine.examine(algorithm, 17, {}).finding is None


def test_a_real_process(checked, tmp_path):
    (tmp_path / "mine.py").write_text(page("bcast", CHAIN.replace("segments", "4")))
    command = [sys.executable, "-m", "collectives", "check", "--load", "mine.py", "-p", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout.startswith("WRONG bcast.mine: the cost line must")
