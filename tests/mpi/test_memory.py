"""Memory that could go while a call uses it, that has no length, or that is a GPU's."""

import ctypes
import mmap
from array import array

import forms
import numpy as np
import pytest
from common import COMM, RANK, P, at_few_ranks
from mpi4py import MPI

import collectives
from collectives import CollectiveError
from collectives.mpi.data import gpu
from collectives.mpi.plans.callplan import CallPlan

pytestmark = [pytest.mark.mpi, at_few_ranks]

WITH_BUFFERS = sorted(set(forms.FORMS) - {"barrier"})
REDUCING = {"reduce", "allreduce", "reduce_scatter", "reduce_scatter_block", "scan", "exscan"}


@pytest.fixture(scope="module")
def comm():
    comm = collectives.Comm(COMM).Dup()
    yield comm
    comm.Free()


def ends(comm, name):
    """A function that carries out a form to its end: blocking, nonblocking or persistent."""

    def nonblocking(form, *arguments):
        getattr(comm, f"I{form}")(*arguments).Wait()

    def persistent(form, *arguments):
        request = getattr(comm, f"{form.capitalize()}_init")(*arguments)
        for _ in range(2):
            request.Start()
            request.Wait()
        request.Free()

    def blocking(form, *arguments):
        for _ in range(3):  # recorded, by its plan, directly
            getattr(comm, form.capitalize())(*arguments)

    return {"blocking": blocking, "nonblocking": nonblocking, "persistent": persistent}[name]


WAYS = ["blocking", "nonblocking", "persistent"]


def mapped(content):
    memory = mmap.mmap(-1, max(len(content), 1))
    memory[: len(content)] = content
    return memory


# Memory with some content, and how its owner lets it go.
KINDS = {
    "bytearray": (bytearray, lambda x: x.clear()),
    "memoryview": (lambda content: memoryview(bytearray(content)), lambda x: x.release()),
    "array": (lambda content: array("b", content), lambda x: x.extend(bytes(1 << 16))),
    "mmap": (mapped, lambda x: x.close()),
}

# Each form with one kind; the others take longer.
every_kind = pytest.mark.parametrize(
    "form, kind",
    [
        pytest.param(form, kind, marks=[pytest.mark.slow] if (at + number) % len(KINDS) else [])
        for at, form in enumerate(WITH_BUFFERS)
        for number, kind in enumerate(KINDS)
    ],
)


def replaced(call, spell):
    """The arguments of a call, with `spell(array, layout)` for each buffer."""

    def other(argument):
        if isinstance(argument, np.ndarray):
            return spell(argument, [])
        if isinstance(argument, list) and argument and isinstance(argument[0], np.ndarray):
            return spell(argument[0], argument[1:])
        return argument

    return [other(argument) for argument in call.arguments]


class Lent:
    """The buffers of a call in memory of another kind."""

    def __init__(self, call, kind):
        self.make, self.let_go = KINDS[kind]
        self.memories, self.call = [], call
        self.arguments = replaced(call, self._spell)

    def _spell(self, data, layout):
        memory = self.make(data.tobytes())
        self.memories.append((memory, data))
        return [memory, *(layout or [data.size, MPI.INT64_T])]

    def refuses(self):
        """Whether none of the memory can be let go."""
        for memory, _ in [each for each in self.memories if each[1].size]:
            with pytest.raises((BufferError, ValueError)):
                self.let_go(memory)
        return True

    def check(self, *what):
        for memory, data in self.memories:
            data[...] = np.frombuffer(bytes(memory)[: data.nbytes], np.int64).reshape(data.shape)
        forms.check(self.call, *what)
        for memory, _ in self.memories:
            self.let_go(memory)  # now it may


def lent(form, kind, seed=0):
    call = forms.make(form, seed)
    if form in ("scatter", "gather", "allgather", "alltoall"):  # where a count is a block's
        return Lent(call._replace(arguments=(*map(as_blocks(form), call.arguments),)), kind)
    if form == "reduce_scatter_block":
        whole, out = call.arguments
        return Lent(call._replace(arguments=([whole, 3, MPI.INT64_T], out)), kind)
    return Lent(call, kind)


def as_blocks(form):
    length = 2 if form == "alltoall" else 4
    return lambda x: [x, length, MPI.INT64_T] if isinstance(x, np.ndarray) else x


@every_kind
def test_memory_is_held_until_the_request_has_ended(comm, form, kind):
    for seed in range(2):  # the second time by the plan that there is
        use = lent(form, kind, seed)
        request = getattr(comm, f"I{form}")(*use.arguments)
        assert use.refuses()
        if seed:
            MPI.Request.Waitall([request])
        else:
            request.Wait()
        use.check(form, kind, seed)


@every_kind
def test_memory_is_held_as_long_as_a_persistent_request(comm, form, kind):
    use = lent(form, kind)
    request = getattr(comm, f"{form.capitalize()}_init")(*use.arguments)
    assert use.refuses()
    request.Start()
    assert use.refuses()
    request.Wait()
    assert use.refuses()
    request.Free()
    use.check(form, kind)


@every_kind
def test_memory_is_held_during_a_blocking_call(comm, form, kind, monkeypatch):
    """Another thread or a signal handler could let it go, at any place in the middle."""
    run, using = CallPlan.run, []

    def meddling(plan, addresses):
        assert all(use.refuses() for use in using)
        run(plan, addresses)

    monkeypatch.setattr(CallPlan, "run", meddling)
    for seed in range(2):
        use = lent(form, kind, seed)
        using.append(use)
        getattr(comm, form.capitalize())(*use.arguments)
        using.clear()
        use.check(form, kind)


def test_an_operator_cannot_let_go(comm):
    memory, mine = bytearray(8), array("q", [RANK])
    outcomes = set()

    def meddle(left, right, datatype):
        for let_go in (memory.clear, lambda: mine.extend(range(1000))):
            try:
                let_go()
                outcomes.add("let go")
            except BufferError:
                outcomes.add("refused")

    op = MPI.Op.Create(meddle, commute=True)
    for _ in range(3):
        comm.Allreduce(mine, [memory, MPI.INT64_T], op)
        comm.Iallreduce(mine, [memory, MPI.INT64_T], op).Wait()
    assert outcomes <= {"refused"}
    assert P == 1 or COMM.allreduce(len(outcomes))
    memory.clear()
    op.Free()


def test_a_list_may_change_meanwhile(comm):
    """What holds the memory is not the list in which it was given."""
    call = forms.make("allreduce")
    lists = [[x.copy(), MPI.INT64_T] for x in call.arguments]
    result = lists[1][0]
    requests = []
    for _ in range(2):
        given = [list(x) for x in lists]
        requests.append(comm.Iallreduce(*given))
        for each in given:
            each.clear()
    MPI.Request.Waitall(requests)
    assert np.array_equal(result, call.expected[0])


@pytest.mark.parametrize("way", WAYS)
def test_a_refused_call_holds_nothing(comm, way):
    """Not even while its error is looked at."""
    for make, let_go in KINDS.values():
        memory = make(bytes(16))
        for wrong in ([memory, 3, MPI.INT64_T], [memory, -1, MPI.INT64_T], [memory, "zz"]):
            try:
                ends(comm, way)("allreduce", MPI.IN_PLACE, wrong)
            except CollectiveError as error:
                caught = error
        assert caught
        let_go(memory)


# MPI.BOTTOM


def absolute(data):
    """int64 that are where `data` is, from MPI.BOTTOM."""
    there = MPI.INT64_T.Create_hindexed([1], [MPI.Get_address(data)])
    datatype = there.Create_resized(0, 8).Commit()
    there.Free()
    return datatype


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", sorted(set(WITH_BUFFERS) - REDUCING))
def test_absolute_addresses(comm, form, way):
    types = []

    def spell(data, layout):
        counts, displs = layout[:2] if layout else (data.size, 0)
        if form in ("scatter", "gather", "allgather", "alltoall"):
            whole = data.size == (2 if form == "alltoall" else 4) * P and data.size > 4
            counts = data.size // P if whole or form == "alltoall" else data.size
        if form == "alltoallw":
            where = [displ + MPI.Get_address(data) for displ in displs]
            return [MPI.BOTTOM, counts, where, layout[2]]
        types.append(absolute(data))
        return [MPI.BOTTOM, counts, displs if layout else 0, types[-1]]

    call = forms.make(form)
    ends(comm, way)(form, *replaced(call, spell))
    forms.check(call, form, way)
    for datatype in types:
        datatype.Free()


@pytest.mark.parametrize("way", WAYS)
def test_absolute_datatypes_of_each_block(comm, way):
    given, got = forms.numbers(RANK, P, 0), forms.empty(P)
    spec = [1] * P, [0] * P
    types = [
        [MPI.INT64_T.Create_hindexed([1], [MPI.Get_address(x) + 8 * i]).Commit() for i in range(P)]
        for x in (given, got)
    ]
    send, recv = ([MPI.BOTTOM, spec, each] for each in types)
    ends(comm, way)("alltoallw", send, recv)
    assert np.array_equal(got, [forms.numbers(rank, P, 0)[RANK] for rank in range(P)])


@pytest.mark.parametrize("way", WAYS)
def test_nothing_from_bottom(comm, way):
    nothing = [MPI.BOTTOM, 0, MPI.INT64_T]
    for form in ("bcast", "allgather", "alltoall", "allreduce", "scan", "exscan", "gather"):
        ends(comm, way)(form, *[nothing] * (1 if form == "bcast" else 2))
    for form in ("allgatherv", "alltoallv"):
        ends(comm, way)(form, nothing, [MPI.BOTTOM, [0] * P, MPI.INT64_T])
    nothing = [MPI.BOTTOM, ([0] * P, [0] * P), [MPI.DOUBLE] * P]
    ends(comm, way)("alltoallw", nothing, nothing)


def test_reduction_of_absolute_elements(comm):
    """An operator that takes no notice of where they are leaves the second operand."""
    data = np.arange(2) + RANK
    there = MPI.INT64_T.Create_hindexed([2], [MPI.Get_address(data)]).Commit()
    op = MPI.Op.Create(lambda left, right, datatype: None, commute=False)
    comm.Allreduce(MPI.IN_PLACE, [MPI.BOTTOM, 1, there], op)
    assert np.array_equal(data, np.arange(2) + P - 1)
    op.Free()


def test_addresses_near_zero_are_refused(comm):
    """They are displacements that were meant for a buffer."""
    for form, buf in {
        "allgatherv": [MPI.BOTTOM, [1] * P, MPI.INT64_T],
        "alltoallw": [MPI.BOTTOM, ([1] * P, [0] * P), [MPI.INT64_T] * P],
    }.items():
        with pytest.raises(CollectiveError, match="needs absolute addresses for block 0"):
            getattr(comm, form.capitalize())(MPI.IN_PLACE, buf)


# Bare addresses, and blocks without data


@pytest.mark.parametrize("way", WAYS)
def test_a_bare_address_with_a_count_is_trusted(comm, way):
    every_second = MPI.INT64_T.Create_resized(0, 16).Commit()
    data, got = forms.numbers(RANK, 4, 0), forms.empty(2 * P)
    for length in (16, 0):
        memory = MPI.buffer.fromaddress(MPI.Get_address(data), length)
        got[...] = forms.UNTOUCHED
        ends(comm, way)("allgather", [memory, 2, every_second], got)
        assert np.array_equal(got, np.concatenate([forms.numbers(r, 4, 0)[::2] for r in range(P)]))
    real = MPI.buffer.frombuffer(data)[:16]
    with pytest.raises(CollectiveError, match="needs the memory from byte 0 to 24"):
        ends(comm, way)("allgather", [real, 2, every_second], got)
    every_second.Free()


@pytest.mark.parametrize("way", WAYS)
def test_a_block_without_data_may_point_anywhere(comm, way):
    empty = MPI.INT64_T.Create_contiguous(0).Commit()
    full = RANK == P - 1
    mine = forms.numbers(RANK, P, 0) if full else np.zeros(0, np.int64)
    got, far = forms.empty(1), 10**6
    send = [mine, ([1] * P, [8 * i if full else far for i in range(P)])]
    send.append([MPI.INT64_T if full else empty] * P)
    recv = [got, ([1] * P, [far] * (P - 1) + [0]), [empty] * (P - 1) + [MPI.INT64_T]]
    ends(comm, way)("alltoallw", send, recv)
    assert got[0] == forms.numbers(P - 1, P, 0)[RANK]
    empty.Free()


def test_elements_of_2_gib(comm):
    block = MPI.INT16_T.Create_contiguous(2**30).Commit()
    memory = MPI.buffer.fromaddress(4096, 0)  # not looked at
    op = MPI.Op.Create(lambda left, right, datatype: None, commute=True)
    with pytest.raises(MPI.Exception, match="elements of up to 2147483647 bytes"):
        comm.Allreduce(MPI.IN_PLACE, [memory, 1, block], op)
    op.Free()
    block.Free()


# DLPack, and the memory of a GPU


class Tensor:
    """Has memory by DLPack alone, and counts how often it is exported."""

    def __init__(self, data, version=1):
        self.data, self.version, self.exported = data, version, 0

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()

    def __dlpack__(self, **options):
        if self.version == 0 and options:
            raise TypeError("no options")
        self.exported += 1
        return self.data.__dlpack__(**options)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("version", [0, 1])
def test_tensors_are_exported_once(comm, way, version):
    for form in ("allreduce", "allgather", "allgatherv", "alltoallv", "bcast", "scan"):
        call = forms.make(form)
        tensors = []

        def spell(data, layout, tensors=tensors):
            tensors.append(Tensor(data, version))
            return [tensors[-1], *layout] if layout else tensors[-1]

        arguments = replaced(call, spell)
        ends(comm, way)(form, *arguments)
        forms.check(call, form, way)
        assert {x.exported for x in tensors} == {3 if way == "blocking" else 1}


@pytest.mark.parametrize("way", WAYS)
def test_errors_of_an_export_are_clear(comm, way):
    class Fails:
        def __init__(self, error):
            self.error = error

        def __dlpack_device__(self):
            return 1, 0

        def __dlpack__(self, **options):
            raise self.error

    for error in (BufferError("x"), RuntimeError("x"), OSError("x"), MemoryError("x")):
        with pytest.raises(CollectiveError, match=r"Fails'> \(x\)") as caught:
            ends(comm, way)("allreduce", np.zeros(3), Fails(error))
        assert caught.value.__cause__ is error


class Remote:
    """An array as of a GPU's library: what is at its address has all bits inverted."""

    def __init__(self, data):
        self.memory = np.invert(data.view(np.uint8))
        self.shape, self.dtype = data.shape, data.dtype

    @property
    def __cuda_array_interface__(self):
        address = MPI.Get_address(self.memory)
        described = {"data": (address, False), "shape": self.shape, "version": 3}
        return {**described, "typestr": self.dtype.str}

    def get(self):
        return np.invert(self.memory).view(self.dtype)


class Inverting:
    """Copies from there and to there."""

    def device_of(self, data):
        return 3

    def fetch(self, address, host, number):
        assert number == 3
        host.view(np.uint8)[...] = np.invert(self._at(address, host.nbytes))

    def bring(self, address, host, number):
        assert number == 3
        self._at(address, host.nbytes)[...] = np.invert(host.view(np.uint8))

    def _at(self, address, nbytes):
        return np.frombuffer((ctypes.c_uint8 * nbytes).from_address(address), np.uint8)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", WITH_BUFFERS)
def test_memory_of_a_gpu(comm, form, way, monkeypatch):
    """By a library of which there is one here."""
    monkeypatch.setitem(gpu.LIBRARIES, __name__.partition(".")[0], Inverting())
    call = forms.make(form)
    remote = []

    def spell(data, layout):
        remote.append((Remote(data), data))
        return [remote[-1][0], *layout] if layout else remote[-1][0]

    arguments = replaced(call, spell)
    ends(comm, way)(form, *arguments)
    for there, data in remote:
        data[...] = there.get().reshape(data.shape)
    forms.check(call, form, way)


@pytest.mark.parametrize("way", WAYS)
def test_gaps_and_wider_numbers_on_a_gpu(comm, way, monkeypatch):
    monkeypatch.setitem(gpu.LIBRARIES, __name__.partition(".")[0], Inverting())
    every_second = MPI.INT64_T.Create_resized(0, 16).Commit()
    sent, got = Remote(forms.numbers(RANK, 4, 0)), Remote(forms.empty(4 * P))
    ends(comm, way)("allgather", [sent, 2, every_second], [got, 2, every_second])
    expected = forms.empty(4 * P)
    expected[::2] = np.concatenate([forms.numbers(rank, 4, 0)[::2] for rank in range(P)])
    assert np.array_equal(got.get(), expected)
    numbers, total = Remote(np.arange(3.0) + RANK), Remote(np.zeros(3))
    ends(comm, way)("allreduce", numbers, total, collectives.REPRODUCIBLE_SUM)
    assert np.array_equal(total.get(), P * np.arange(3.0) + P * (P - 1) / 2)
    every_second.Free()
