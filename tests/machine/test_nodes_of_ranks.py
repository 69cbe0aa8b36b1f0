"""Simulated nodes: what messages within them cost, and who takes them as groups."""

import pytest

from collectives import ArgumentError, Clock, Deadlock, Machine, count, find, simulate, trace
from collectives.algorithms.language import algorithm as register
from collectives.algorithms.language import copy, recv, send
from collectives.machine import machine
from collectives.machine.networks import Star
from collectives.problems import Problem
from collectives.study.verify import check, simulator

FAR, NEAR = Clock(alpha=100, beta=2, gamma=0), Clock(alpha=1, beta=0.5)


def nodes(ranks, placement="block", number=(), far=FAR, near=NEAR):
    return Machine(far, near, Star(number), ranks, placement=placement)


@pytest.mark.parametrize("rendezvous", [False, True])
def test_a_message_costs_what_its_way_costs(rendezvous):
    """A chain 0, 1, 2, ... of 10 bytes: 6 within a node, 105 or 120 between nodes."""
    options = {"p": 4, "n": 10, "rendezvous": rendezvous}
    for made, groups, expected in (
        (nodes(4), (0, 0, 0, 0), 3 * 6),
        (nodes(2), (0, 0, 1, 1), 6 + 120 + 6),
        (nodes(2, "cyclic"), (0, 1, 0, 1), 3 * 120),
        (nodes(3, (3, 4, 5, 0), (2,)), (1, 1, 1, 0), 6 + 6 + 120),
    ):
        assert made.groups(4) == groups
        assert simulate("bcast", "ring:segments=1", topology=made, **options).time == expected
    assert simulate("bcast", "ring:segments=1", clock=FAR, **options).time == 3 * 120


def test_one_rank_a_node_is_as_without_nodes():
    for name in ("ring", "recursive_doubling", "tree", "hierarchical:group=3"):
        options = {"p": 11, "n": 1000}
        flat = simulate("allreduce", name, clock=FAR, **options)
        assert simulate("allreduce", name, topology=nodes(1), **options).time == flat.time


@pytest.mark.parametrize("p", [1, 2, 7, 12, 64])
@pytest.mark.parametrize("size", [1, 3, 4])
def test_nodes_are_the_groups_of_two_levels(p, size):
    """With free messages within nodes, what remains is a tree over the nodes."""
    free, unit = Clock(alpha=0, beta=0), Clock(alpha=1, beta=0, gamma=0)
    made = nodes(size, far=unit, near=free)
    run = simulate("bcast", "hierarchical", p=p, n=8, topology=made)
    assert run.time == ((p - 1) // size).bit_length()
    assert count("bcast", "hierarchical", p=p, n=8, topology=made).messages == p - 1


def test_scattered_nodes():
    """Ranks dealt out to five nodes like cards: a flat tree crosses over again and again."""
    free, unit = Clock(alpha=0, beta=0), Clock(alpha=1, beta=0, gamma=0)
    dealt = nodes(12, "cyclic", (5,), far=unit, near=free)
    flat, two_levels, given = (
        simulate("bcast", name, p=60, topology=dealt).time
        for name in ("tree", "hierarchical", "hierarchical:group=1")
    )
    assert two_levels == 3
    assert flat == given > 3  # a group that is given goes before the nodes


def test_every_rank_needs_a_place():
    for name in ("tree", "hierarchical"):
        with pytest.raises(ArgumentError, match="a place for each of 4 ranks, got 2"):
            simulate("bcast", name, p=4, n=8, topology=nodes(2, (0, 1)))


# Where links are shared.

SHARED = "nodes:x3,nic=25G,latency=10us"


@pytest.mark.parametrize("more", ["", ",eager=0B", ",eager=100B", ",noise=0.3", ",overhead=1us"])
@pytest.mark.parametrize("name", ["ring", "recursive_doubling", "double_tree", "hierarchical"])
def test_the_answer_is_right(name, more):
    """Whenever messages move, all data come to where they belong."""
    algorithm, _ = find("allreduce", name)
    for p in (1, 2, 7):
        problem = Problem("allreduce", p, 23)
        buffers = [problem.buffers(rank) for rank in range(p)]
        simulator(algorithm, problem, buffers, machine=machine(SHARED + more)).run()
        for rank, mine in enumerate(buffers):
            check(name, problem, rank, mine)


@pytest.mark.parametrize("more", ["", ",eager=0B", ",overhead=1us,gap=2us"])
@pytest.mark.parametrize("name", ["ring", "tree", "double_tree:segments=4"])
def test_a_trace_has_the_same_times(name, more):
    options = {"p": 7, "n": 7000, "topology": SHARED + more}
    made, run = trace("allreduce", name, **options), simulate("allreduce", name, **options)
    assert [rank.finished for rank in made.ranks] == run.finished.tolist()
    assert made.critical and all(message.left < message.arrived for message in made.messages)


def test_deadlock(registry):
    def stuck(rank, p, sendbuf, recvbuf):
        yield copy(sendbuf, recvbuf)
        yield send(sendbuf, (rank + 1) % p)
        yield recv(recvbuf, (rank - 1) % p)

    register("allreduce", name="stuck")(stuck)
    simulate("allreduce", "stuck", p=6, n=60, topology=f"{SHARED},eager=60B")
    with pytest.raises(Deadlock, match="rank 0 waits in send to 1"):
        simulate("allreduce", "stuck", p=6, n=60, topology=f"{SHARED},eager=59B")


def test_late_ranks_hold_up_the_others():
    options = {"p": 6, "n": 600, "topology": SHARED}
    late = trace("allreduce", "ring", late={4: 1.0}, **options)
    assert 1.0 < late.time < 1.0 + trace("allreduce", "ring", **options).time + 1e-9
