"""`algorithm="auto"`: right in every form, the same on all ranks, and what the table says."""

import forms
import numpy as np
import pytest
from common import COMM, PRIMITIVE, RANK, P, at_few_ranks
from mpi4py import MPI

import collectives
from collectives.algorithms.language.registry import PRIMITIVES, REDUCTIONS, REGISTRY
from collectives.bench.measure import minima
from collectives.bench.rounds import ring
from collectives.choice import ENVIRONMENT, choices, written
from collectives.errors import ArgumentError, BufferMismatch, CallMismatch
from collectives.mpi.plans.channel import channel_of

pytestmark = pytest.mark.mpi

# Lengths at which a table of the tests changes its mind, in bytes of the whole vector.
STOPS = [0, 8, 40, 100, 300, 1000, 3000, 10_000, 30_000]


def ranges(names):
    return [[stop, name] for stop, name in zip(STOPS, names)]


def every(primitive, commutative=True):
    """Algorithms of a primitive that can do any p; those of the table of the tests."""
    return [
        f"{name}:segments=3" if "segments" in one.parameters else name
        for name, one in REGISTRY[primitive].items()
        if one.minimum_p == 1
        and not one.power_of_two
        and not one.lossy
        and (commutative or not one.commutative)
    ]


@pytest.fixture
def use(tmp_path_factory, monkeypatch):
    """Put a table in force on this rank."""

    def put(any_order, in_order):
        path = tmp_path_factory.mktemp("choice") / "mine.json"
        machine = collectives.Machine(collectives.Clock(1.0, 1.0, 1.0))
        path.write_text(written(machine, None, 2**32, any_order, in_order))
        monkeypatch.setenv(ENVIRONMENT, str(path))

    return put


@pytest.fixture
def table(use):
    """A table that takes another algorithm for every few bytes more."""
    use(
        {primitive: {(1, 2): ranges(every(primitive))} for primitive in PRIMITIVES},
        {primitive: {(1, 2): ranges(every(primitive, False))} for primitive in REDUCTIONS},
    )


@pytest.fixture
def comm(request):
    """A communicator on which nothing has been called yet."""
    duplicate = collectives.Comm(COMM.Dup(), algorithm=getattr(request, "param", "auto"))
    yield duplicate
    duplicate.Free()


def descriptions(comm):
    pools = channel_of(comm).store.pools.values()
    return {plan.description for pool in pools for plan in pool.idle}


@pytest.mark.parametrize("form", forms.FORMS)
def test_every_form(comm, form, table):
    for seed in range(2):  # the second time a plan may be replayed
        call = forms.make(form, seed)
        getattr(comm, form.capitalize())(*call.arguments)
        forms.check(call, form)
    name = PRIMITIVE.get(form, form)
    told = {text for text in descriptions(comm) if text.startswith(f"{name}.")}
    assert all(".auto" not in text for text in told)
    assert {text for texts in COMM.allgather(told) for text in texts} == told


@at_few_ranks
@pytest.mark.parametrize("form", forms.FORMS)
def test_nonblocking_and_persistent(comm, form, table):
    started = []
    for seed in range(2):
        call = forms.make(form, seed)
        started.append((getattr(comm, f"I{form}")(*call.arguments), call))
    for request, _ in started:
        request.Wait()
    call = forms.make(form, 2)
    again = getattr(comm, f"{form.capitalize()}_init")(*call.arguments)
    for _ in range(2):
        again.Start()
        again.Wait()
    again.Free()
    for _, one in [*started, (None, call)]:
        forms.check(one, form)


def test_objects(comm, table):
    thing = {"from": RANK, "more": list(range(RANK))}
    every = [{"from": r, "more": list(range(r))} for r in range(P)]
    assert comm.bcast(thing, root=P - 1) == every[-1]
    assert comm.allgather(thing) == every
    assert comm.gather(thing) == (every if RANK == 0 else None)
    assert comm.scatter(every if RANK == 0 else None) == thing
    assert comm.alltoall([(RANK, r) for r in range(P)]) == [(r, RANK) for r in range(P)]
    assert comm.allreduce(RANK) == P * (P - 1) // 2


@pytest.mark.parametrize("commutative", [True, False])
def test_the_length_and_the_operator_choose(comm, table, commutative):
    """Operators that do not commute never meet an algorithm that wants one that does."""

    def plus(inbuf, inoutbuf, datatype):
        left = np.frombuffer(inbuf, np.int64)
        right = np.frombuffer(inoutbuf, np.int64)
        right += left

    op = MPI.Op.Create(plus, commutative)
    names = every("allreduce", commutative)
    for elements in (1, 3, 10, 30, 100, 300, 1000, 3000, 5000):
        send = np.arange(elements) + 1000 * RANK
        recv = np.full(elements, -1)
        collectives.allreduce(comm, send, recv, op, "auto")
        assert np.array_equal(recv, P * np.arange(elements) + 1000 * (P * (P - 1) // 2))
        place = sum(stop <= 8 * elements for stop in STOPS[: len(names)]) - 1
        assert choices().spec("allreduce", P, 8 * elements, commutative) == names[place]
    op.Free()


@pytest.mark.parametrize("comm", ["auto", None], indirect=True)
def test_what_ran_is_what_the_table_says(comm):
    """For a communicator without an algorithm as well: it is the default of allreduce."""
    for elements in (1, 2**15, 2**19):
        buf = np.arange(elements, dtype=np.float64) + RANK
        total = np.empty_like(buf)
        comm.Allreduce(buf, total)
        name = choices().spec("allreduce", P, 8 * elements)
        assert f"allreduce.{name} (sum, {elements} elements, float64)" in descriptions(comm)


def test_first_call_with_a_wrong_buffer_on_one_rank(comm):
    """The rank that is wrong cannot know what is chosen, yet all compare."""
    send, recv = np.full(3, RANK + 1.0), np.full(2 if RANK == P - 1 else 3, -1.0)
    name = choices().spec("allreduce", P, send.nbytes)  # known to all by its own name
    comm.Allreduce(send, np.empty(3), algorithm=name)
    with pytest.raises(BufferMismatch, match=rf"allreduce.auto: rank {P - 1} of {P}: sendbuf"):
        comm.Allreduce(send, recv)
    assert (recv == -1).all()


@pytest.mark.skipif(P == 1, reason="needs ranks that differ")
def test_tables_that_differ(comm, use):
    """The ranks find out, even where both tables say the same."""
    rows = [[0, "tree"], [100 + RANK, "ring"]]
    use({"bcast": {(1, 2): rows}}, {})
    with pytest.raises(CallMismatch, match=r"chosen by mine\.json"):
        comm.Bcast(np.full(3, 1.0))


def test_a_table_without_the_primitive(comm, use):
    use({"bcast": {(1, 2): [[0, "tree"]]}}, {})
    with pytest.raises(ArgumentError, match=r"scan\.auto: needs rows for scan in the table"):
        comm.Scan(np.full(3, 1.0), np.empty(3))


def test_a_table_with_an_algorithm_that_cannot(comm, use):
    use({}, {"allreduce": {(1, 2): [[0, "ring"]]}})
    op = MPI.Op.Create(lambda a, b, datatype: None, commute=False)
    with pytest.raises(collectives.RestrictionError, match="needs a commutative operator"):
        comm.Allreduce(np.full(3, 1.0), np.empty(3), op)
    op.Free()


def test_parameters_belong_to_algorithms(comm):
    with pytest.raises(ArgumentError, match=r"allreduce\.auto: no parameter 'segments'"):
        comm.Allreduce(np.full(3, 1.0), np.empty(3), segments=4)


def test_minima_are_the_same_on_all_ranks():
    calls = [ring(COMM, nbytes) for nbytes in (8, 1024)]
    found = minima(COMM, calls, 0.01)
    assert all(0 < time < 60 for time in found)
    assert set(COMM.allgather(tuple(found))) == {tuple(found)}
