"""Wrong algorithms and wrong calls are caught, and the message helps."""

import inspect
import pickle
import re

import numpy as np
import pytest

from collectives.algorithms import algorithm
from collectives.algorithms.language.memory import scratch
from collectives.algorithms.language.steps import NOTHING, copy, recv, reduce, send
from collectives.catalogue import algorithms_for, check_parameters, check_restrictions, find, load
from collectives.errors import (
    ArgumentError,
    CollectiveError,
    Deadlock,
    RestrictionError,
    ScheduleError,
    UnknownAlgorithm,
    WrongResult,
)
from collectives.operators.operator import MATPROD, MATRIX
from collectives.problems import Problem
from collectives.study.simulation import simulate
from collectives.study.verify import simulator, verify

pytestmark = pytest.mark.usefixtures("registry")


def run(generator, primitive="barrier", p=2, n=6, rendezvous=False, **problem):
    """Register a generator and verify it; a barrier may end without being one."""
    algorithm(primitive, name="wrong")(generator)
    chosen, _ = find(primitive, "wrong")
    instance = Problem(primitive, p, n, **problem)
    if primitive == "barrier":
        return simulator(chosen, instance, [instance.buffers(0)] * p, rendezvous).run()
    return verify(chosen, instance, rendezvous=rendezvous)


def place(generator, mark="# here"):
    """A pattern for the file and the line of the generator that has this mark."""
    lines, first = inspect.getsourcelines(generator)
    [offset] = [i for i, line in enumerate(lines) if line.rstrip().endswith(mark)]
    return rf"\S*test_faults\.py:{first + offset}, round \d[^)]*"


def one_yield(*steps_of_rank):
    """A barrier in which each rank does one round."""

    def generator(rank, p):
        yield steps_of_rank[rank]  # here

    return generator


# Wrong results


def test_wrong_element():
    def wrong(rank, p, sendbuf, recvbuf):
        other = scratch(sendbuf)
        yield copy(sendbuf, recvbuf), send(sendbuf, 1 - rank), recv(other, 1 - rank)
        yield reduce(other[:4], recvbuf[:4])

    with pytest.raises(WrongResult) as caught:
        run(wrong, "allreduce")
    assert str(caught.value) == (
        "allreduce.wrong: rank 0 of 2: output[4] must be 100013, got 5; "
        "2 of 6 elements are wrong (p = 2, n = 6 int64, sum)"
    )


def test_wrong_order_of_operands():
    def wrong(rank, p, sendbuf, recvbuf):
        other = scratch(sendbuf)
        yield copy(sendbuf, recvbuf), send(sendbuf, 1 - rank), recv(other, 1 - rank)
        yield reduce(other, recvbuf)

    run(wrong, "allreduce")
    data = {"dtype": MATRIX, "operator": MATPROD}
    with pytest.raises(WrongResult, match=r"rank 0 of 2: output\[0\].*matprod"):
        run(wrong, "allreduce", **data)


def test_swapped_blocks():
    def wrong(rank, p, sendbuf, recvbuf):
        others = [r for r in range(p) if r != rank]
        yield copy(sendbuf[rank], recvbuf[rank])
        yield [send(sendbuf[r], r) for r in others] + [
            recv(recvbuf[p - r - rank], r) for r in others
        ]

    with pytest.raises(
        WrongResult, match=r"alltoall.wrong: rank 0 of 3: output\[2\] must be 100004, got 200007"
    ):
        run(wrong, "alltoall", p=3)


@pytest.mark.parametrize(
    ("primitive", "arguments"),
    [
        ("bcast", "buf, root"),
        ("scatter", "sendbuf, recvbuf, root"),
        ("gather", "sendbuf, recvbuf, root"),
        ("allgather", "sendbuf, recvbuf"),
        ("reduce", "sendbuf, recvbuf, root"),
        ("allreduce", "sendbuf, recvbuf"),
        ("reduce_scatter", "sendbuf, recvbuf"),
        ("alltoall", "sendbuf, recvbuf"),
        ("scan", "sendbuf, recvbuf"),
        ("exscan", "sendbuf, recvbuf"),
    ],
)
@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.complex128, MATRIX], ids=str)
def test_an_output_never_written(primitive, arguments, dtype):
    space = {}
    exec(f"def idle(rank, p, {arguments}):\n    yield []", space)
    operator = {"operator": MATPROD} if dtype is MATRIX else {}
    with pytest.raises(WrongResult, match=rf"{primitive}.wrong: rank \d of 3: output\[0\] must be"):
        run(space["idle"], primitive, p=3, dtype=np.dtype(dtype), **operator)


def test_exscan_must_leave_rank_0_alone():
    def wrong(rank, p, sendbuf, recvbuf):
        yield copy(sendbuf, recvbuf) if rank == 0 else recv(recvbuf, rank - 1)
        yield send(sendbuf, 1) if rank == 0 else []

    with pytest.raises(WrongResult, match=r"exscan.wrong: rank 0 of 2: output\[0\] must be"):
        run(wrong, "exscan")


@pytest.mark.parametrize("verb", ["recv", "reduce", "copy"])
def test_the_input_must_not_change(verb):
    def wrong(rank, p, sendbuf, recvbuf):
        other = scratch(sendbuf)
        yield copy(sendbuf, other)
        if verb == "recv":
            yield send(other, 1 - rank), recv(sendbuf, 1 - rank)
        yield reduce(other, sendbuf) if verb == "reduce" else copy(other, sendbuf)

    with pytest.raises(
        ScheduleError, match=rf"{verb} needs writable memory, got int64\[6\], read-only"
    ):
        run(wrong, "allreduce")


# Deadlocks


@pytest.mark.parametrize("rendezvous", [False, True])
@pytest.mark.parametrize("p", [2, 3])
def test_cycle_of_recvs(p, rendezvous):
    def wrong(rank, p):
        yield recv(NOTHING, (rank + 1) % p)  # here
        yield send(NOTHING, (rank - 1) % p)

    line = place(wrong)
    links = ", ".join(rf"rank {r} waits in recv from {(r + 1) % p} \({line}\)" for r in range(p))
    with pytest.raises(
        Deadlock, match=rf"barrier.wrong: deadlock: {links}, rank 0 again; somebody"
    ) as caught:
        run(wrong, p=p, rendezvous=rendezvous)
    assert [link[:2] for link in caught.value.chain] == [
        (r, f"recv from {(r + 1) % p}") for r in range(p)
    ]
    copied = pickle.loads(pickle.dumps(caught.value))
    assert copied.chain == caught.value.chain and str(copied) == str(caught.value)


def test_both_send_first():
    """Small messages forgive it, large ones do not: only rendezvous finds it."""

    def wrong(rank, p):
        yield send(NOTHING, 1 - rank)  # here
        yield recv(NOTHING, 1 - rank)

    run(wrong)
    with pytest.raises(Deadlock, match=rf"rank 0 waits in send to 1 \({place(wrong)}\), rank 1 "):
        run(wrong, rendezvous=True)


def test_waiting_for_a_rank_that_has_finished():
    def wrong(rank, p):
        if rank == 0:
            yield recv(NOTHING, 1)  # here

    with pytest.raises(
        Deadlock,
        match=rf"rank 0 waits in recv from 1 \({place(wrong)}\), rank 1 has finished; let ",
    ):
        run(wrong)


def test_ranks_behind_a_deadlock_are_counted():
    def wrong(rank, p):
        yield recv(NOTHING, rank ^ 1 if rank < 2 else 0)

    with pytest.raises(Deadlock, match=r"rank 0 again; 3 more ranks wait behind them"):
        run(wrong, p=5)


def test_the_line_is_that_of_the_innermost_generator():
    def inner():
        yield recv(NOTHING, 1)  # here

    def wrong(rank, p):
        if rank == 0:
            yield from inner()

    with pytest.raises(Deadlock, match=place(inner)):
        run(wrong)


# Messages that do not fit


def test_message_left_over():
    def wrong(rank, p):
        if rank == 0:
            yield send(np.zeros(3), 1)  # here

    with pytest.raises(
        ScheduleError,
        match=rf"barrier.wrong: every message needs a recv, got none for 24 bytes from rank 0 "
        rf"to rank 1 \({place(wrong)}\)",
    ):
        run(wrong)
    with pytest.raises(Deadlock, match=r"rank 0 waits in send to 1 .*, rank 1 has finished"):
        run(wrong, rendezvous=True)


@pytest.mark.parametrize("rendezvous", [False, True])
@pytest.mark.parametrize("sender", [0, 1])
def test_lengths_differ(sender, rendezvous):
    def wrong(rank, p):
        if rank == sender:
            yield send(np.zeros(2), 1 - sender)  # sent
        else:
            yield recv(np.zeros(3), sender)  # received

    with pytest.raises(
        ScheduleError,
        match=rf"rank {1 - sender} of 2: needs 24 bytes from rank {sender} "
        rf"\({place(wrong, '# received')}\), got 16 \({place(wrong, '# sent')}\)",
    ):
        run(wrong, rendezvous=rendezvous)


def test_messages_keep_their_order():
    """The first recv gets the first message, here of another length."""

    def wrong(rank, p):
        if rank == 0:
            yield [send(np.zeros(1), 1), send(np.zeros(2), 1)]
        else:
            yield [recv(np.zeros(2), 0), recv(np.zeros(1), 0)]

    with pytest.raises(ScheduleError, match=r"needs 16 bytes from rank 0 .*, got 8"):
        run(wrong)


# Steps that break a rule

vector = np.arange(8.0)
frozen = np.arange(8.0)
frozen.flags.writeable = False


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (send(vector, 0), "needs another rank as its peer, got send of 8 elements to 0"),
        (
            recv(vector, 0),
            "needs another rank as its peer, got recv of 8 elements from 0",
        ),
        (send(vector, 2), "a peer must be a rank from 0 to 1, got 2"),
        (send(vector, -1), "a peer must be a rank from 0 to 1, got -1"),
        (recv(vector, 1.0), "a peer must be a rank from 0 to 1, got 1.0"),
        (recv(vector, None), "a peer must be a rank from 0 to 1, got None"),
        (None, "yield a step, or several in a tuple or a list, got None"),
        ("send", "yield a step, or several in a tuple or a list, got 'send'"),
        ([[send(vector, 1)]], r"yield a step, or several in a tuple or a list, got \[send"),
        (send(vector[::2], 1), r"send needs contiguous views, got float64\[4\]"),
        (send([vector[:2], vector[::-1]], 1), r"send needs contiguous views, got float64\[8\]"),
        (recv(vector.reshape(2, 4), 1), r"recv needs a one-dimensional .*, got float64\[2, 4\]"),
        (send((vector[:2], vector[2:]), 1), "send needs a one-dimensional numpy view or a list"),
        (send(b"12345678", 1), "send needs a one-dimensional .*, got b'12345678'"),
        (recv(frozen, 1), r"recv needs writable memory, got float64\[8\], read-only"),
        (copy(vector, frozen), r"copy needs writable memory, got float64\[8\], read-only"),
        (reduce(vector, frozen), r"reduce needs writable memory, got float64\[8\], read-only"),
        (
            (send(vector[2:], 1), recv(vector[:3], 1)),
            "a message must not land where another of its round is read or lands",
        ),
        (
            (recv(vector[2:], 1), recv(vector[:3], 1)),
            "a message must not land where another of its round is read or lands",
        ),
        (
            recv([vector[2:], vector[:3]], 1),
            "a message must not land where another of its round is read or lands",
        ),
        (
            [send(vector[i : i + 1], 1) for i in range(8)] + [recv(vector[7:], 1)] * 2,
            "a message must not land where another of its round is read or lands",
        ),
        (reduce(vector[:5], vector[3:]), "the operands of reduce must not overlap"),
        (reduce(vector, vector), "the operands of reduce must not overlap"),
        (
            reduce(vector[:2], vector[6:], out=vector[1:3]),
            "the result of reduce must not overlap half an operand",
        ),
        (
            reduce(vector[:3], vector[4:]),
            r"one length and dtype, got float64\[3\] and float64\[4\]",
        ),
        (reduce(vector, np.zeros(8, int)), "reduce needs operands of one length and dtype"),
        (reduce(vector[:4], vector[4:], np.zeros(3)), "reduce needs operands of one length and"),
        (copy(vector[:5], vector[3:]), "source and destination of copy must not overlap"),
        (copy(vector[:3], vector[4:]), r"one length and dtype, got float64\[3\] and float64\[4\]"),
        (copy(vector, np.zeros(8, int)), "copy needs source and destination of one length and"),
    ],
)
def test_step_that_breaks_a_rule(step, message):
    wrong = one_yield(step, [])
    pattern = rf"barrier\.wrong: rank 0 of 2: .*{message}.* \({place(wrong)}\); "
    with pytest.raises(ScheduleError, match=pattern):
        run(wrong)


@pytest.mark.parametrize(
    "steps",
    [
        (send(vector[:4], 1), send(vector[2:], 1)),
        (send(vector[:4], 1), recv(vector[4:], 1)),
        (send(vector[:4], 1), recv([vector[4:6], vector[7:]], 1), recv(vector[6:7], 1)),
        [send(vector[i : i + 1], 1) for i in range(7)] + [recv(vector[7:], 1)] * 1,
        copy(vector, vector),
        copy(frozen, frozen),
        reduce(vector[:4], vector[4:], out=vector[:4]),
        (send(frozen, 1), recv(vector[:0], 1)),
        send(vector, np.int64(1)),
    ],
)
def test_step_that_keeps_the_rules(steps):
    """Several messages may read the same; a copy onto itself is nothing to do."""
    mirror = []
    for step in steps if isinstance(steps, (tuple, list)) else [steps]:
        if isinstance(step, send):
            mirror.append(recv(np.zeros(step.buf.size), 0))
        elif isinstance(step, recv):
            size = sum(view.size for view in step.buf) if type(step.buf) is list else step.buf.size
            mirror.append(send(np.zeros(size), 0))
    run(one_yield(steps, mirror))


@pytest.mark.parametrize("space", [np.empty, np.zeros])
def test_space_that_is_not_scratch(space):
    """A cost-only run would need real memory; it says so instead."""

    def wrong(rank, p, buf, root):
        temporary = space(buf.size, buf.dtype)
        yield send(temporary, 1) if rank == 0 else recv(temporary, 0)  # here

    algorithm("bcast", name="wrong")(wrong)
    got = rf"got uint8\[64\] \({place(wrong)}\); write scratch"
    pattern = rf"bcast.wrong: rank 0 of 2: .*scratch\(\), {got}"
    with pytest.raises(ScheduleError, match=pattern):
        simulate("bcast", "wrong", p=2, n=64)


# Registration


def test_arguments_of_another_primitive():
    with pytest.raises(
        TypeError,
        match=re.escape(
            "gather.wrong: needs the arguments rank, p, sendbuf, recvbuf, root "
            "(and counts, groups or links if it needs them), got rank, p, buf; write "
            "`def wrong(rank, p, "
        ),
    ):

        @algorithm("gather", name="wrong")
        def gather(rank, p, buf):
            yield []


def test_counts_where_there_are_none():
    with pytest.raises(TypeError, match=r"scan.wrong: needs the arguments .*, got .*, counts; "):

        @algorithm("scan", name="wrong")
        def scan(rank, p, sendbuf, recvbuf, counts):
            yield []


def test_not_a_generator():
    with pytest.raises(
        TypeError,
        match=r"barrier.plain: an algorithm must be a generator, got a function without a yield",
    ):

        @algorithm("barrier")
        def plain(rank, p):
            return []


def test_name_that_is_taken():
    with pytest.raises(ValueError, match=r"barrier\.tree exists already; choose another name"):

        @algorithm("barrier")
        def tree(rank, p):
            yield []


def test_unknown_primitive():
    with pytest.raises(
        ValueError, match=r"a primitive is needed, got 'brodcast'; choose from .*bcast"
    ):
        algorithm("brodcast")


def test_parameter_without_default():
    with pytest.raises(TypeError, match=r"barrier\.wrong: parameter fanout needs a default"):

        @algorithm("barrier", name="wrong")
        def barrier(rank, p, *, fanout):
            yield []


def test_what_fails_to_register_is_not_registered():
    with pytest.raises(TypeError):
        algorithm("barrier", name="wrong")(lambda rank, p: [])
    assert "wrong" not in algorithms_for("barrier")


# Finding


def test_unknown_algorithm_lists_the_nearest_first():
    with pytest.raises(UnknownAlgorithm, match=r"allreduce: .*, got 'rign'; choose from ring, "):
        find("allreduce", "rign")
    with pytest.raises(
        UnknownAlgorithm, match=r"got 'recursive_halving'; choose from recursive_doub"
    ):
        find("reduce", "recursive_halving")
    with pytest.raises(
        UnknownAlgorithm, match=r"a primitive is needed, got 'all_reduce'; .*allreduce"
    ):
        find("all_reduce")
    with pytest.raises(LookupError):
        algorithms_for("allreducee")


def test_parameters_in_the_name():
    chosen, given = find("bcast", "ring:segments=8")
    assert (str(chosen), given) == ("bcast.ring", {"segments": 8})
    assert find("bcast", "ring:")[1] == {}
    assert find("bcast", "ring:segments=None")[1] == {"segments": None}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tree:segments=8", "bcast.tree: no parameter 'segments'; choose from none"),
        ("ring:segment=8", "bcast.ring: no parameter 'segment'; choose from segments"),
        ("ring:segments=0", "bcast.ring: segments must be a positive integer, got 0"),
        ("knomial:k=1", "bcast.knomial: k must be an integer from 2 on, got 1"),
        ("ring:segments=-1", "bcast.ring: segments must be a positive integer, got -1"),
        ("ring:segments=1.5", "bcast.ring: segments must be a positive integer, got 1.5"),
        ("ring:segments=many", "bcast.ring: segments must be a positive integer, got 'many'"),
        ("ring:segments", "bcast.ring: a parameter reads key=value, got 'segments'"),
        ("ring:8", "bcast.ring: a parameter reads key=value, got '8'"),
    ],
)
def test_wrong_parameters(spec, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        find("bcast", spec)


def test_wrong_parameters_of_a_call():
    with pytest.raises(ArgumentError, match=r"no parameter 'blocks'"):
        simulate("bcast", "ring", p=4, n=8, blocks=2)
    with pytest.raises(ValueError, match=r"positive integer, got 0"):
        check_parameters(find("scan", "ring")[0], {"segments": 0})


# Restrictions


def test_commutative_operator_needed():
    ring, _ = find("allreduce", "ring")
    check_restrictions(ring, 5)
    with pytest.raises(
        RestrictionError,
        match=r"allreduce.ring: needs a commutative operator, got one that is not; "
        "use naive or .*recursive_doubling",
    ) as caught:
        check_restrictions(ring, 5, commutative=False)
    assert "ring" not in str(caught.value).partition("; use ")[2].split(" or ")
    with pytest.raises(RestrictionError):
        simulate("allreduce", "ring", p=5, n=8, operator=MATPROD)


def test_power_of_two_needed():
    @algorithm("barrier", name="picky", power_of_two=True)
    def picky(rank, p):
        yield []

    chosen, _ = find("barrier", "picky")
    check_restrictions(chosen, 8)
    with pytest.raises(
        RestrictionError,
        match=r"barrier.picky: needs a power-of-two number of ranks, got 6; use naive or ring",
    ):
        simulate("barrier", "picky", p=6)


def test_minimum_p_needed():
    @algorithm("barrier", name="picky", minimum_p=3)
    def picky(rank, p):
        yield []

    chosen, _ = find("barrier", "picky")
    check_restrictions(chosen, 3)
    with pytest.raises(
        RestrictionError, match=r"needs at least 3 ranks, got 2; use naive or ring or"
    ):
        check_restrictions(chosen, 2)


# Files with more algorithms

FILE = """
from collectives.algorithms.language import NOTHING, algorithm, recv, send


@algorithm("barrier")
def mine(rank, p):
    '''A pair of ranks nod to each other.

    Cost: alpha
    Restrictions: none
    Reference: folklore
    '''
    yield send(NOTHING, 1 - rank), recv(NOTHING, 1 - rank)
"""


def test_load_a_file(tmp_path):
    path = tmp_path / "more.py"
    path.write_text(FILE)
    load(path)
    load(str(path))  # again, as after an edit
    chosen, _ = find("barrier", "mine")
    assert chosen.summary == "A pair of ranks nod to each other."
    assert simulate("barrier", "mine", p=2).messages.tolist() == [1, 1]


def test_load_two_files_with_one_name(tmp_path):
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(FILE)
    load(tmp_path / "one.py")
    assert "mine" in algorithms_for("barrier")
    for _ in range(2):
        load(tmp_path / "two.py")
        assert {"one:mine", "two:mine"} == {x for x in algorithms_for("barrier") if "mine" in x}
    assert find("barrier", "two:mine")[0].summary == "A pair of ranks nod to each other."


def test_load_no_file(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"a Python file with algorithms is needed, got .*nope"
    ):
        load(tmp_path / "nope.py")


# The tree of errors


def test_errors_are_also_what_python_calls_them():
    assert issubclass(ArgumentError, (CollectiveError, ValueError))
    for error, builtin in {
        ArgumentError: ValueError,
        RestrictionError: ValueError,
        UnknownAlgorithm: LookupError,
        ScheduleError: RuntimeError,
        Deadlock: ScheduleError,
        WrongResult: RuntimeError,
    }.items():
        assert issubclass(error, CollectiveError) and issubclass(error, builtin)
