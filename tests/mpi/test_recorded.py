"""A recorded run: what its files hold, put together, is what really ran."""

import json
from contextlib import suppress
from pathlib import Path

import forms
import numpy as np
import pytest
from common import COMM, EVERYWHERE, RANK, P, algorithms, at_few_ranks
from mpi4py import MPI
from perfetto import check_chrome

import collectives
from collectives import Trace
from collectives.algorithms import REGISTRY
from collectives.catalogue import TEXTBOOK
from collectives.errors import ArgumentError, CallMismatch
from collectives.machine.clock import Clock
from collectives.mpi.plans import book
from collectives.mpi.plans.channel import channel_of
from collectives.study.chrome import chrome
from collectives.study.measured import measured
from collectives.study.recorded import Run

pytestmark = [pytest.mark.mpi, at_few_ranks]


@pytest.fixture
def folder(tmp_path):
    """A directory that all ranks share."""
    return COMM.bcast(tmp_path / "recorded")


@pytest.fixture
def comm(folder):
    comm = collectives.Comm(COMM.Dup(), trace=folder)
    yield comm
    if comm != MPI.COMM_NULL:
        comm.Free()


def read(comm, folder):
    """The run that ends here, as all ranks read it."""
    usage = COMM.gather([row for row in comm.counts() if "comparison" not in row.within])
    comm.Free()
    book.write_books()
    COMM.Barrier()
    run = Run(folder)
    if RANK == 0:
        check_numbers(run, usage)
    COMM.Barrier()
    return run


def check_numbers(run, usage):
    """As many messages and bytes as were counted."""
    for rank, rows in enumerate(usage):
        mine = [m for call in run.calls for m in call.messages if m.source == rank]
        assert sum(row.messages for row in rows) == len(mine)
        assert sum(row.bytes_sent for row in rows) == sum(m.nbytes for m in mine)
        assert sum(row.calls for row in rows) == len(run.calls)


def check_times(trace):
    """On each rank one thing comes after the other, and no message before it was sent."""
    assert trace.origin == "measured" and trace.failure is None
    assert Trace.from_json(json.loads(json.dumps(trace.to_json()))) == trace
    assert [m.left for m in trace.messages] == sorted(m.left for m in trace.messages)
    for number, message in enumerate(trace.messages):
        assert message.left <= message.arrived == message.had
        sent = trace.ranks[message.source].rounds[message.sent - 1]
        taken = trace.ranks[message.dest].rounds[message.taken - 1]
        assert number in sent.sends and number in taken.recvs
        assert sent.start <= message.left <= sent.end
        assert taken.start <= message.arrived <= taken.end + 1e-9
    for late, rank in zip(trace.setting.late, trace.ranks, strict=True):
        now = late
        for round_ in rank.rounds:
            assert now <= round_.start <= round_.end
            now = round_.start
            for step in round_.steps:
                assert now <= step.start <= step.end <= round_.end
                now = step.start
            now = round_.end
        assert now <= rank.finished <= trace.time
    for before, after in zip(trace.critical, trace.critical[1:], strict=False):
        assert trace.messages[before].left <= trace.messages[after].arrived


def test_every_algorithm(comm, folder):
    """Blocking; of some a second call, which runs an optimised plan."""
    calls = []
    for form in REGISTRY:
        for name in algorithms(form):
            if name in TEXTBOOK or EVERYWHERE:
                for seed in range(1 + (name == "ring")):
                    call = forms.make(form, seed, seed % P)
                    getattr(comm, form.capitalize())(*call.arguments, algorithm=name)
                    forms.check(call, form, name)
                    calls.append((form, name))
    run = read(comm, folder)
    own = [call for call in run.calls if not call.sketches[0].within]
    assert [call.sketches[0].algorithm for call in own] == [name for _, name in calls]
    assert run.dropped == 0 and all(call.p == P for call in own)
    for call in own[RANK::P]:
        two = measured(call, Clock(1e-6, 1e-9, 1e-10))
        check_times(two.measured)
        assert len(two.measured.messages) == len(call.messages)
        numbers = [stage.number for stage in call.sketches[0].stages if stage.number]
        assert {round_.number for round_ in two.measured.ranks[0].rounds} >= {*numbers}
    check_chrome(chrome(run.calls), sum(len(call.messages) for call in run.calls))


def test_every_form(comm, folder):
    """Nonblocking ones overlap; persistent ones are started by MPI, too, and objects have parts."""
    started = []
    for form in forms.FORMS:
        call = forms.make(form)
        started.append((getattr(comm, f"I{form}")(*call.arguments), call))
    for request, call in reversed(started):
        request.Wait()
        forms.check(call)
    for form in ("barrier", "allreduce", "alltoallv"):
        call = forms.make(form)
        request = getattr(comm, f"{form.capitalize()}_init")(*call.arguments)
        for _ in range(3):
            request.Start()
            while not request.Test():
                pass
            forms.check(call)
        MPI.Prequest.Startall([request])
        MPI.Request.Waitall([request])
        request.Free()
    assert comm.allgather({RANK: "x" * RANK}) == [{rank: "x" * rank} for rank in range(P)]
    run = read(comm, folder)
    found = [(call.calls[0].form, bool(call.sketches[0].within)) for call in run.calls]
    assert found.count(("nonblocking", False)) == len(forms.FORMS)
    assert found.count(("persistent", False)) == 12
    assert ("blocking", True) in found
    for call in run.calls[RANK::P]:
        check_times(measured(call).measured)
    check_chrome(chrome(run.calls), sum(len(call.messages) for call in run.calls))


def test_unusual_calls(comm, folder):
    """Elements, operators and parameters of all kinds; in place; without elements."""
    floats, out = np.linspace(0, 1, 40, dtype=np.float32), np.empty(40, np.float32)
    left = collectives.Operator("left", lambda a, b, out: np.copyto(out, a), commutative=False)
    gaps = MPI.DOUBLE.Create_vector(2, 1, 3).Commit()
    comm.Allreduce(floats, out, algorithm="compressed_ring")
    comm.Allreduce(floats, out, algorithm="compressed_halving", codec="topk")
    comm.Allreduce(floats, out, op=left, algorithm="recursive_doubling")
    comm.Allreduce(floats, out, op=collectives.REPRODUCIBLE_SUM, algorithm="tree")
    comm.Allreduce(MPI.IN_PLACE, out, algorithm="hierarchical", group=2)
    comm.Allreduce(floats[:0], out[:0], algorithm="ring")
    comm.Reduce_scatter(MPI.IN_PLACE, np.ones(2 * P), [2] * P, algorithm="ring")
    comm.Bcast([np.zeros(9), 2, gaps], root=P - 1, algorithm="ring", segments=2)
    comm.Alltoallv([floats, [1] * P], [out, [1] * P], algorithm="recursive_doubling")
    gaps.Free()
    calls = [call for call in read(comm, folder).calls if not call.sketches[0].within]
    assert len(calls) == 9
    for call in calls:
        check_times(measured(call).measured)


def test_clocks(comm, folder):
    """Those of one machine agree, at both ends of the run."""
    comm.Barrier()
    run = read(comm, folder)
    crews = [process.crew[-1] for process in run.processes.values()]
    assert all(len(crew.offsets) == 2 for crew in crews)
    for crew in crews:
        for offset in crew.offsets:
            assert abs(offset.seconds) <= offset.uncertainty < 1 or crew.rank == 0


def test_communicators_made_from_one(comm, folder):
    half = comm.Split(RANK % 2, -RANK)
    half.Allgather(np.full(3, RANK), np.empty(3 * half.size, int), algorithm="ring")
    size = half.size
    half.Free()
    comm.Barrier()
    comm.Free()
    book.write_books()
    COMM.Barrier()
    run = Run(folder)
    rings = [call for call in run.calls if call.title == "allgather.ring"]
    assert len(rings) == min(P, 2) and size in {call.p for call in rings}
    for call in rings:
        assert list(call.crew.world) == sorted(call.crew.world, reverse=True)
        check_times(measured(call).measured)


def test_off_and_on(folder):
    """Calls are recorded as long as that is asked for; the quick way comes back."""
    comm = collectives.Comm(COMM.Dup())
    channel, data, out = channel_of(comm), np.ones(3), np.empty(3)
    for directory, calls in ((None, 3), (folder, 2), ("", 3)):
        comm = collectives.Comm(comm, trace=directory)
        assert (channel.observer is None) == (not directory)
        for _ in range(calls):
            comm.Allreduce(data, out, algorithm="ring")
        assert bool(comm._ready) == (not directory)
    comm.Free()
    book.write_books()
    COMM.Barrier()
    assert len(Run(folder).calls) == 2


def test_memory_is_bounded(comm, folder, monkeypatch):
    monkeypatch.setattr(book, "MOST_BYTES", 10_000)
    for _ in range(60):
        comm.Barrier(algorithm="ring")
    comm.Free()
    book.write_books()
    COMM.Barrier()
    run = Run(folder)
    assert 0 < len(run.calls) < 40 and run.dropped + P * len(run.calls) == 60 * P
    assert run.calls[-1].calls[0].key == "59.0"  # the last ones stay


def test_what_fails_in_the_middle(comm, folder):
    def wrong(left, right, out):
        raise ZeroDivisionError("on purpose")

    op = collectives.Operator("wrong", wrong)
    with suppress(ZeroDivisionError):
        comm.Allreduce(np.ones(4), np.empty(4), op=op, algorithm="ring")
    comm.Barrier()
    comm.Free()
    book.write_books()
    COMM.Barrier()
    run = Run(folder)
    titles = [call.title for call in run.calls]
    assert titles == ["allreduce.ring", "barrier.recursive_doubling"]
    assert run.calls[0].failed == (P > 1)
    if P > 1:
        with pytest.raises(ArgumentError, match=r"^allreduce\.ring: .*failed on a rank"):
            measured(run.calls[0])


def test_where_a_rank_cannot_write(folder):
    if RANK == 0:
        Path(folder).write_text("a file")
    COMM.Barrier()
    with pytest.raises(ArgumentError, match="a directory that can be written is needed"):
        collectives.Comm(COMM.Dup(), trace=folder)
    with pytest.raises(ArgumentError, match="trace must be a directory, got 3"):
        collectives.Comm(COMM, trace=3)
    if P > 1:
        with pytest.raises(CallMismatch, match="trace="):
            collectives.Comm(COMM.Dup(), trace=folder if RANK else None)
