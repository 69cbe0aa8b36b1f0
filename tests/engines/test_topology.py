"""Simulated nodes: what messages within them cost, and who takes them as groups."""

import pytest

from collectives import ArgumentError, Clock, Nodes, count, simulate

FAR, NEAR = Clock(alpha=100, beta=2, gamma=0), Clock(alpha=1, beta=0.5)


@pytest.mark.parametrize("rendezvous", [False, True])
def test_a_message_costs_what_its_way_costs(rendezvous):
    """A chain 0, 1, 2, ... of 10 bytes: 6 within a node, 105 or 120 between nodes."""
    for groups, expected in (
        ((0, 0, 0, 0), 3 * 6),
        ((0, 0, 1, 1), 6 + 120 + 6),
        ((0, 1, 0, 1), 3 * 120),
        ((5, 5, 5, 2), 6 + 6 + 120),
    ):
        nodes = Nodes(groups, NEAR)
        options = {"p": 4, "n": 10, "clock": FAR, "rendezvous": rendezvous}
        assert simulate("bcast", "ring:segments=1", topology=nodes, **options).time == expected
    assert simulate("bcast", "ring:segments=1", **options).time == 3 * 120


def test_one_rank_a_node_is_as_without_nodes():
    for name in ("ring", "recursive_doubling", "tree", "hierarchical:group=3"):
        options = {"p": 11, "n": 1000, "clock": FAR}
        flat, alone = simulate("allreduce", name, **options), Nodes(1, NEAR)
        assert simulate("allreduce", name, topology=alone, **options).time == flat.time


@pytest.mark.parametrize("p", [1, 2, 7, 12, 64])
@pytest.mark.parametrize("size", [1, 3, 4])
def test_nodes_are_the_groups_of_two_levels(p, size):
    """With free messages within nodes, what remains is a tree over the nodes."""
    free, unit = Clock(alpha=0, beta=0), Clock(alpha=1, beta=0, gamma=0)
    run = simulate("bcast", "hierarchical", p=p, n=8, clock=unit, topology=Nodes(size, free))
    assert run.time == ((p - 1) // size).bit_length()
    assert count("bcast", "hierarchical", p=p, n=8, topology=Nodes(size, free)).messages == p - 1


def test_scattered_nodes():
    """Ranks dealt out to five nodes like cards: a flat tree crosses over again and again."""
    dealt = tuple(rank % 5 for rank in range(60))
    free, unit = Clock(alpha=0, beta=0), Clock(alpha=1, beta=0, gamma=0)
    flat, two_levels, given = (
        simulate("bcast", name, p=60, clock=unit, topology=Nodes(dealt, free)).time
        for name in ("tree", "hierarchical", "hierarchical:group=1")
    )
    assert two_levels == 3
    assert flat == given > 3  # a group that is given goes before the nodes


def test_every_rank_needs_a_node():
    for name in ("tree", "hierarchical"):
        with pytest.raises(ArgumentError, match="4 integers, the group of each rank, got"):
            simulate("bcast", name, p=4, n=8, topology=Nodes((0, 1), NEAR))
