"""What `explain` prints: held against the trace, for every algorithm."""

import json
import re
import subprocess
import sys

import pytest
from launch import ROOT

from collectives import Trace, trace
from collectives.__main__ import main
from collectives.algorithms import REGISTRY
from collectives.catalogue import check_restrictions
from collectives.errors import RestrictionError
from collectives.explain.grid import grid
from collectives.explain.moments import in_lock_step, moments
from collectives.explain.terminal import Page, View
from collectives.explain.words import Words, ranks_in_words, runs

pytestmark = pytest.mark.usefixtures("registry")

ALGORITHMS = [algorithm for names in REGISTRY.values() for algorithm in names.values()]


@pytest.fixture
def explain(capsys):
    """Run the command; what it printed, and its exit status."""

    def run(*arguments):
        status = main(["explain", *map(str, arguments)])
        captured = capsys.readouterr()
        return captured.out or captured.err, status

    return run


def page(made, **view):
    return [str(line) for line in Page(made, View(**view)).lines()]


@pytest.mark.share(3)
@pytest.mark.parametrize("chosen", ALGORITHMS, ids=str)
def test_everything_is_told_in_a_hundred_columns(chosen):
    p = 6
    try:
        check_restrictions(chosen, p)
    except RestrictionError:
        p = 8
    made = trace(chosen.primitive, chosen.name, p=p)
    text = "\n".join(page(made, everything=True))
    assert max(map(len, text.splitlines())) <= 100 and text.isascii()
    words = Words(made)
    for moment in moments(made):
        told = words.messages(moment.messages)
        assert all(line[:90] in text for line in told)
    for view in (
        {"rank": 3},
        {"beat": min(2, made.beats)},
        {"data": True, "everything": True},
        {"width": 60},
    ):
        width = view.get("width", 100)
        assert max(len(line) for text in page(made, **view) for line in text.splitlines()) <= width


@pytest.mark.parametrize("name", ["ring", "tree", "rabenseifner", "circulant"])
def test_grid_holds_what_the_trace_says(name):
    made = trace("allreduce", name, p=7)
    words = Words(made)
    for beat in range(made.beats):
        after = made.held_at(beat + 1)
        lines = [str(line).split() for line in grid(words, beat + 1, 1000)]
        rows = [line[1:] for line in lines[1:]] if len(made.parts) > 1 else list(zip(*lines[1:]))
        for rank, row in enumerate(rows):
            for part, cell in enumerate(row):
                assert cell.rstrip("*") == words.cell(part, after[rank][part])
                old = {value for b in range(beat + 1) for value in made.held_at(b)[rank][part]}
                assert cell.endswith("*") == (not old.issuperset(after[rank][part]))


@pytest.mark.parametrize(
    "primitive, row",
    [("gather", "0 1 2* 3*"), ("gather", ". . 2 ."), ("reduce", "[0-3]* 1 2 3")],
)
def test_what_is_gone_or_was_there_from_the_beginning_is_not_new(primitive, row):
    """After a tree's last round, in which rank 2 has passed on what it had collected."""
    rows = [" ".join(line.split()) for line in page(trace(primitive, "tree", p=4))]
    assert any(line.endswith(row) for line in rows)


def test_contributions_in_words():
    assert runs([(3, 5)], 5) == "3-4"
    assert runs([(3, 5), (0, 2)], 5) == "3-1"
    assert runs([(3, 5), (1, 2)], 5) == "3-4,1"
    assert runs([(2, 3), (4, 5), (0, 2), (3, 4)], 5) == "2,4,0-1,3"
    assert runs([(4, 5), (0, 4)], 5) == "4-3"
    assert ranks_in_words([4, 5, 6, 1]) == "4-6,1"


def test_long_values_leave_out_the_order():
    made = trace("allreduce", "circulant", p=16)
    words = Words(made)
    rounds = range(len(made.ranks[0].rounds))
    cells = {words.cell(i, c) for n in rounds for i, c in enumerate(made.held(0, n))}
    assert cells == {"0", "8,0", "4,12,8,0", "0-14/2", "[all]"}


def test_integers_are_sums_of_what_ranks_contribute():
    made = trace("allreduce", "ring", p=3)
    words = Words(made, data=True)
    final = [words.cell(part, made.held(0)[part]) for part in range(3)]
    assert final == ["[60]", "[63]", "[66]"]


def test_beats_are_the_rounds_of_a_textbook():
    """Of a binomial tree: twice as many ranks after each."""
    assert in_lock_step(trace("allreduce", "ring", p=8))
    tree = trace("bcast", "tree", p=8)
    assert not in_lock_step(tree)
    pairs = [sorted((m.source, m.dest) for m in moment.messages) for moment in moments(tree)]
    assert pairs == [[(0, 4)], [(0, 2), (4, 6)], [(0, 1), (2, 3), (4, 5), (6, 7)]]


def test_output_in_a_file_is_plain():
    command = [sys.executable, "-m", "collectives", "explain", "barrier", "tree", "-p", "3"]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60).stdout
    assert b"\x1b" not in shown and b"news {0-2}" in shown


def test_rounds_that_do_the_same_are_shown_once(explain):
    text, _ = explain("allreduce", "ring", "-p", "16")
    assert "Rounds 3 to 15 do the same" in text and "\nRound 4\n" not in text
    text, _ = explain("allreduce", "ring", "-p", "16", "--all")
    assert "do the same" not in text and "\nRound 4\n" in text


def test_several_algorithms_and_names_with_parameters(explain):
    text, status = explain("bcast", "tree", "ring:segments=2", "-p", "3")
    assert status == 0
    assert (
        "bcast.tree, p = 3" in text
        and "bcast.ring, p = 3, n = 24 B, root = 0, segments = 2" in text
    )


def test_json_is_the_trace(explain, tmp_path):
    path = tmp_path / "trace.json"
    explain(
        "alltoall", "ring", "-p", "4", "--counts", "1,2,3,4/0,0,0,0/1,1,1,1/2,0,2,0", "--json", path
    )
    made = Trace.from_json(json.loads(path.read_text()))
    assert made.setting.counts[0] == (1, 2, 3, 4) and made.failure is None


# Wrong algorithms


ALONE = '''
from collectives.algorithms.language import algorithm, copy


@algorithm("allreduce")
def alone(rank, p, sendbuf, recvbuf):
    """<script>alert("Ärger")</script> [bold]x[/bold]"""
    yield copy(sendbuf, recvbuf)
'''


def test_wrong_answer(explain, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(ALONE, encoding="utf-8")
    text, status = explain("allreduce", "alone", "--load", path, "-p", "3")
    assert status == 1
    assert '<script>alert("Ärger")</script> [bold]x[/bold]' in text
    assert "It runs to its end, and the answer is wrong" in text
    assert "rank 1: the vector should hold 0-2, holds 1, last written in its round 1" in text
    assert "{1}: 0 missing, 2 missing" in text
    assert "Round 1   <- here it goes wrong" in text


def test_deadlock_lesson(explain):
    """Ranks that wait, with their lines; the repairs; and that short messages let it end."""
    example = ROOT / "examples" / "deadlock.py"
    text, status = explain("--load", example, "--rendezvous", "-p", "4")
    assert status == 1 and "Round 2   <- here it goes wrong" in text
    assert "0 --> 1 --> 2 --> 3\n    ^                 |\n" in text
    line = next(
        number
        for number, code in enumerate(example.read_text().splitlines(), start=1)
        if "yield send" in code
    )
    places = re.findall(
        r"rank (\d) waits in send to (\d), .*\n\s+\S*deadlock.py:(\d+)  yield send", text
    )
    assert places == [(str(r), str((r + 1) % 4), str(line)) for r in range(4)]
    assert all(word in text for word in ("order the sends", "pair them in one yield", "MPI_Isend"))
    assert "--eager 8" in text

    text, status = explain("--load", example, "--eager", "8", "-p", "4")
    assert status == 0 and "Only short messages let it end" in text
    text, status = explain("--load", example, "--eager", "7", "-p", "4")
    assert status == 1
    text, status = explain("--load", example, "-p", "4")
    assert status == 0 and "short messages" not in text


def test_rank_that_waits_for_one_that_has_finished(explain, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        ALONE.replace("copy\n", "copy, recv\n", 1)
        + "    if rank == 2:\n        yield recv(recvbuf, 1)\n",
        encoding="utf-8",
    )
    text, status = explain("allreduce", "alone", "--load", path, "-p", "4")
    assert status == 1 and "2 --> 1, which has finished" in text
    assert "repairs" not in text


@pytest.mark.parametrize(
    "wrong, message",
    [
        ("allreduce rign", "the name of an algorithm is needed"),
        ("brodcast", "a primitive is needed, got 'brodcast'"),
        ("", "explain: a primitive or a file is needed, got none"),
        ("allreduce ring -p 65", "needs at most 64 ranks to be drawn, got 65"),
        ("allreduce ring --rank 5", "--rank must be a rank from 0 to 4, got 5"),
        ("allreduce ring --round 10", "--round must be from 1 to 9, got 10"),
        ("allreduce ring --width 10", "--width must be 60 or more, got 10"),
        ("allreduce ring --counts 1,2,3,4,5", "counts are for primitives with blocks"),
        ("gather tree --counts 1,2", "counts must be 5 lengths"),
        ("bcast tree --root 7", "root must be a rank from 0 to 4, got 7"),
        ("allreduce ring --json /", "a file that can be written is needed, got /"),
        ("allreduce ring tree --json x", "--json needs one algorithm, got 2"),
        ("allgather neighbor_exchange_ -p 3", "the name of an algorithm is needed"),
    ],
)
def test_bad_input_is_one_sentence(explain, wrong, message):
    text, status = explain(*wrong.split())
    assert status == 2 and message in text and len(text.splitlines()) == 1


def test_messages_of_one_rank_that_are_alike_are_told_together():
    def told(primitive, name):
        made = trace(primitive, name, p=6)
        return [x for moment in moments(made) for x in Words(made).messages(moment.messages)]

    assert told("bcast", "naive") == ["0 -> 1-5: the vector"]
    assert told("scatter", "naive") == ["0 -> 1-5: blocks 1-5, one to each"]
    assert told("alltoall", "naive")[1] == "1 -> 2-5,0: blocks 2-5,0 from 1, one to each"
    assert told("gather", "naive")[0] == "1 -> 0: block 1"
