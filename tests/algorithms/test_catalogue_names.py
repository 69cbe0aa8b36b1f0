"""Names, parameters and rank order: what the catalogue says of its algorithms is true."""

from dataclasses import replace

import pytest

from collectives.__main__ import main
from collectives.algorithms import REGISTRY, algorithm
from collectives.algorithms.language.registry import CHOICES, LEAST, REDUCTIONS, ROOTED, TOPOLOGY
from collectives.algorithms.language.steps import recv, send
from collectives.catalogue import TEXTBOOK, algorithms_for, check_parameters, find, titled
from collectives.errors import ArgumentError, UnknownAlgorithm, WrongResult
from collectives.problems import Buffers, Problem
from collectives.study.simulation import count, simulate
from collectives.study.symbolic import prove

ALGORITHMS = [algorithm for names in REGISTRY.values() for algorithm in names.values()]

# What people look for, and where it is.
NAMES = {
    "barrier": "tournament=tree double_ring=double_ring dissemination=recursive_doubling",
    "bcast": "pipeline=ring pipelined_ring=ring binomial=tree two_tree=double_tree linear=naive "
    "van_de_geijn=recursive_doubling",
    "scatter": "linear=naive binomial=tree hypercube=recursive_doubling",
    "gather": "linear=naive binomial=tree hypercube=recursive_doubling",
    "allgather": "gather_bcast=tree spread=naive torus=torus recexch=recursive_multiplying",
    "reduce": "linear=naive binomial=tree pipeline=ring two_tree=double_tree",
    "allreduce": "reduce_bcast=tree butterfly=recursive_doubling two_tree=double_tree "
    "halving_doubling=halving_doubling binary_blocks=binary_blocks quantised_ring=compressed_ring "
    "sparse_ring=compressed_ring sparse_halving=compressed_halving all_pairs=two_shot "
    "generalized=generalised bine_latency=swing_latency",
    "reduce_scatter": "butterfly=recursive_doubling bucket=ring",
    "alltoall": "linear=naive spread=naive bruck=recursive_doubling hypercube=hypercube "
    "padded_bruck=padded_bruck pairwise_shift=pairwise "
    "pairwise_xor=pairwise_xor 2dmesh=2d_mesh hybrid=hybrid",
    "scan": "linear=ring hillis_steele=recursive_doubling kogge_stone=recursive_doubling "
    "blelloch=tree direct=naive two_tree=double_tree",
    "exscan": "linear=ring kogge_stone=recursive_doubling hillis_steele=recursive_doubling "
    "blelloch=tree two_phase=two_phase",
}


@pytest.mark.parametrize("primitive", NAMES)
def test_names_of_the_literature(primitive, capsys):
    main(["list", primitive])
    listed = dict(
        line.split(maxsplit=1)
        for line in capsys.readouterr().out.splitlines()
        if " same as " in line
    )
    for entry in NAMES[primitive].split():
        name, wanted = entry.split("=")
        found, _ = find(primitive, name)
        assert found is REGISTRY[primitive][wanted]
        assert (name in algorithms_for(primitive)) == (name == wanted)
        if name != wanted:
            assert listed[name].strip().startswith(f"same as {wanted}")


@pytest.mark.parametrize(
    ("primitive", "name"),
    [
        ("alltoall", "two_phase"),  # there is no phase of lengths
        ("alltoall", "two_phase_bruck"),
        ("allgather", "mesh"),  # a torus has links that a mesh has not
        ("allgather", "linear"),  # two libraries mean two things
        ("reduce_scatter", "linear"),
        ("reduce", "halving_doubling"),
    ],
)
def test_names_that_would_mislead(primitive, name):
    with pytest.raises(UnknownAlgorithm, match=f"got '{name}'"):
        find(primitive, name)


@pytest.mark.parametrize(
    ("primitive", "spec", "shown"),
    [
        ("alltoall", "recursive_doubling", "recursive_doubling (bruck)"),
        ("scan", "ring:segments=2", "ring:segments=2 (pipeline)"),
        ("allreduce", "recursive_doubling", "recursive_doubling"),
        ("alltoall", "bruck", "bruck"),
    ],
)
def test_tables_show_the_name_of_the_literature(primitive, spec, shown):
    assert titled(primitive, spec) == shown


def test_only_the_names_of_families_need_another():
    for algorithms in REGISTRY.values():
        for one in filter(lambda one: one.known_as, algorithms.values()):
            assert one.name in TEXTBOOK
            assert find(one.primitive, one.known_as) == (one, {})


def test_a_name_may_stand_for_parameters():
    assert find("scan", "linear") == (REGISTRY["scan"]["ring"], {"segments": 1})
    assert find("exscan", "linear:segments=3")[1] == {"segments": 3}
    assert count("scan", "linear", p=9, n=900).messages == 8


def test_a_group_for_each_rank_in_a_name():
    assert find("bcast", "hierarchical:group=(1,0,1)")[1] == {"group": (1, 0, 1)}
    found = find("allgather", "multi_leader:group=(0,0,1,1),leaders=2")[1]
    assert found == {"group": (0, 0, 1, 1), "leaders": 2}


def test_another_name_must_be_free(registry):
    def twin(rank, p):
        yield []

    for name, also in (("tournament", ()), ("twin", "tournament"), ("twin", ("new", "tree:x=1"))):
        with pytest.raises(ValueError, match=r"barrier\.(tree|tournament) exists already"):
            algorithm("barrier", name=name, also=also)(twin)
    assert "twin" not in registry["barrier"]
    algorithm("barrier", name="twin", also="new")(twin)
    algorithm("barrier", name="twin", also="new")(twin)  # loaded again
    assert str(find("barrier", "new")[0]) == "barrier.twin"


def test_unknown_names_are_told_the_nearest_of_all():
    with pytest.raises(UnknownAlgorithm, match="got 'hillis_steel'; choose from hillis_steele, "):
        find("scan", "hillis_steel")


def messages(primitive, name, p):
    """Per rank its messages in order: (to or from, rank)."""
    found, given = find(primitive, name)
    lists = []
    for rank in range(p):
        rounds = Problem(primitive, p).start(found, rank, Buffers(None, None), given)
        steps = [s for r in rounds for s in (r if isinstance(r, (list, tuple)) else [r])]
        lists.append([("to", s.dest) if isinstance(s, send) else ("from", s.source) for s in steps])
    return lists


def test_a_tournament_sends_the_messages_of_the_tree():
    """Round by round: losers report to winners, and are woken up in reverse."""
    for p in range(1, 40):
        matches = [
            (winner, winner + distance)
            for distance in (2**k for k in range((p - 1).bit_length()))
            for winner in range(0, p, 2 * distance)
            if winner + distance < p
        ]
        wanted = [[] for _ in range(p)]
        for winner, loser in matches:
            wanted[loser].append(("to", winner))
            wanted[winner].append(("from", loser))
        for winner, loser in reversed(matches):
            wanted[winner].append(("to", loser))
            wanted[loser].append(("from", winner))
        assert messages("barrier", "tournament", p) == wanted


def test_the_double_ring_comes_back_to_rank_0_twice():
    assert messages("barrier", "double_ring", 1) == [[]]
    assert messages("barrier", "double_ring", 3) == [
        [("to", 1), ("from", 2)] * 2,
        [("from", 0), ("to", 2)] * 2,
        [("from", 1), ("to", 0)] * 2,
    ]
    assert isinstance(send, type) and isinstance(recv, type)


# Rank order


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=str)
def test_rank_order_is_a_property_of_reductions(algorithm):
    if algorithm.primitive in REDUCTIONS:
        assert algorithm.keeps_order is not algorithm.commutative
    else:
        assert algorithm.keeps_order is None and not algorithm.commutative


@pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS if a.keeps_order is False], ids=str)
def test_no_algorithm_asks_for_a_commutative_operator_in_vain(algorithm):
    """The proof of rank order fails for some p and root."""
    claims = replace(algorithm, commutative=False)
    with pytest.raises(WrongResult, match="not in rank order"):
        for p in range(2, 10):
            for root in range(p) if algorithm.primitive in ROOTED else [0]:
                prove(claims, p, root=root)


def test_list_shows_rank_order(capsys):
    main(["list", "allreduce"])
    lines = capsys.readouterr().out.splitlines()
    assert "rank order" in lines[1]
    [ring] = [line for line in lines if line.startswith("ring ")]
    [tree] = [line for line in lines if line.startswith("tree ")]
    assert "not kept" in ring and "kept" in tree and "not kept" not in tree


# Parameters


@pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS if a.parameters], ids=str)
def test_every_parameter_has_a_least_value(algorithm):
    primitive, name = algorithm.primitive, algorithm.name
    for key in algorithm.parameters:
        if key in CHOICES or key == TOPOLOGY:
            continue
        least, others = LEAST.get(key, 1), {"codec": "topk"} if key == "ratio" else {}
        for wrong in (least - 1, -3, 1.5, "two", True):
            with pytest.raises(ArgumentError, match=rf"{algorithm}: {key} must be .*integer"):
                check_parameters(algorithm, {key: wrong, **others})
        with pytest.raises(ArgumentError, match=f"{algorithm}: {key} must be"):
            simulate(primitive, f"{name}:{key}={least - 1}", p=4, n=40, **others)
        with pytest.raises(ArgumentError, match=f"{algorithm}: {key} must be"):
            prove(algorithm, 4, **{key: least - 1, **others})
        for p in (1, 2, 5):
            prove(algorithm, p, **{key: least, **others})


@pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS if "codec" in a.parameters], ids=str)
def test_a_codec_is_one_of_those_there_are(algorithm):
    for wrong in ("int4", "", None, 8, ["int8"]):
        with pytest.raises(
            ArgumentError, match=rf"{algorithm}: codec must be one of int8, topk, exact, got "
        ):
            check_parameters(algorithm, {"codec": wrong})
    for codec in CHOICES["codec"]:
        prove(algorithm, 5, codec=codec)


def test_a_parameter_of_another_codec_is_an_error():
    """It would have no effect, which nobody who writes it expects."""
    message = "allreduce.compressed_ring: codec int8 has no parameter 'ratio'; choose from bucket"
    with pytest.raises(ArgumentError, match=message):
        find("allreduce", "compressed_ring:ratio=8")
    with pytest.raises(ArgumentError, match="codec topk has no parameter 'seed'; choose from rat"):
        find("allreduce", "sparse_ring:seed=8")
    with pytest.raises(
        ArgumentError, match="codec exact has no parameter 'bucket'; choose from none"
    ):
        find("allreduce", "compressed_ring:codec=exact,bucket=8")
    assert find("allreduce", "compressed_ring:codec=topk,ratio=32")[1] == {
        "codec": "topk",
        "ratio": 32,
    }
