"""What is said about a collective that does not end, from the ranks' states alone."""

import pytest

from collectives.mpi.guards.report import MAX_LINES, State, explain

CALL = "allreduce.ring (sum, 8 elements, float64)"


def waiting(rank, peer, verb="recv from", number=7, call=CALL, **more):
    return State(
        rank, number, call, number, 2, ((verb, peer),), "ring.py:5", at=f"app.py:{rank}", **more
    )


def told(*states, p=None):
    text = explain({state.rank: state for state in states}, p or len(states), 1.5)
    head, *lines = text.split("\n  ")
    return head, lines


def test_a_rank_that_never_came():
    absent = State(1, 6, last="bcast.tree", at="app.py:88")
    head, lines = told(waiting(0, 1), absent, waiting(2, 0))
    assert head == f"{CALL}, call 7: no end within 1.5 s: rank 1 never came"
    assert lines == [
        "rank 1 is in no collective but at app.py:88; its last was bcast.tree, call 6",
        "rank 0 waits in round 2 for recv from 1 (ring.py:5), called at app.py:0",
        "rank 2 waits in round 2 for recv from 0 (ring.py:5), called at app.py:2",
    ]


def test_ranks_that_left_and_ranks_that_do_not_answer():
    left = State(3, 7, last=CALL, left="has left the program after ValueError: no")
    head, lines = told(waiting(0, 3), left, p=5)
    assert head.endswith("rank 3 never came, and ranks 1, 2, 4 did not answer")
    assert lines[0].startswith("rank 3 has left the program after ValueError: no; its last was")


def test_a_rank_in_another_call():
    head, lines = told(waiting(0, 1), waiting(1, 0, call="bcast.tree"), waiting(2, 1))
    assert head == f"{CALL}, call 7: no end within 1.5 s: rank 1 called bcast.tree, call 7"
    assert lines[0].startswith("rank 1 in bcast.tree, call 7 waits in round 2 for recv from 0")


def test_ranks_that_are_further_than_others():
    head, lines = told(waiting(0, 2, number=8), waiting(1, 3), waiting(2, 3), State(3, 6))
    assert head == f"{CALL}, call 7: no end within 1.5 s: rank 3 never came"
    assert f"rank 0 in {CALL}, call 8 waits in round 2 for recv from 2" in lines[1]
    head, _ = told(waiting(0, 1), waiting(1, 2, number=6), waiting(2, 1, number=6))
    assert head == f"{CALL}, call 6: no end within 1.5 s: ranks wait for each other, 1 for 2 for 1"


def test_a_persistent_call_has_no_number():
    head, _ = told(waiting(0, 1, number=None), State(1, 6, at="app.py:1"))
    assert head == f"{CALL}: no end within 1.5 s: rank 1 never came"


def test_a_cycle():
    head, lines = told(waiting(0, 2), waiting(1, 2, "send to"), waiting(2, 1), waiting(3, 0))
    assert head.endswith("ranks wait for each other, 2 for 1 for 2")
    assert [line[:6] for line in lines] == ["rank 1", "rank 2", "rank 0", "rank 3"]


@pytest.mark.parametrize(
    "state, words",
    [
        (State(1, 7, CALL, 7, 3, line="ring.py:9", at="app.py:1"), "rank 1 is still at work"),
        (State(1, 7, at="app.py:9", last=CALL), "rank 1 has ended this call, but others wait"),
        (State(1, 9, at="app.py:9", last=CALL), "rank 1 has ended this call, but others wait"),
    ],
)
def test_the_end_of_a_chain(state, words):
    head, lines = told(waiting(0, 1), state, waiting(2, 0))
    assert words in head and lines[0].startswith("rank 1")


def test_many_ranks_are_not_told_one_by_one():
    states = [waiting(rank, rank - 1) for rank in range(1, 1000)]
    head, lines = told(State(0, 6, at="app.py:1"), *states)
    assert "rank 0 never came" in head and lines[0].startswith("rank 0 is in no collective")
    assert len(lines) == MAX_LINES + 1 and lines[-1] == "and 984 more ranks"
    head, _ = told(*states[:1], p=1000)
    assert "and 983 more did not answer" in head
