"""Many mixed calls: memory must stay as it is, and nothing may be left over.

    mpirun -n 4 python tests/fuzz/soak.py --calls 200000

Random cases as in the fuzz, each several times over, on a pair of communicators
that live from beginning to end, and on others that are made by Split and Dup and
freed after a few cases; and cycles of Dup, a call, and Free. Operators and
datatypes are made and freed all the time. At the end

- resident memory must be what it was: the median of its last quarter may exceed that
  of its second quarter by `--allowance`, which is 40 bytes for each call between them;
- MPI must have as many handles in use as before: communicators, and under MPICH
  datatypes and requests (`handles.py` says why not under Open MPI);
- the tables of the library must be empty, or within their bounds.
"""

import argparse
import ctypes
import gc
import os
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from random import Random
from statistics import median

import cases
import numpy as np
from calls import BLOCKING, NONBLOCKING, PERSISTENT, Call
from cases import Group, free_group, make_group
from elements import GAPS
from handles import in_use
from mpi4py import MPI
from watchdog import Watchdog

from collectives.mpi.data import buffers
from collectives.mpi.engines.progress import PROGRESS
from collectives.mpi.engines.replay import Replay
from collectives.mpi.engines.signals import SIGNALS
from collectives.mpi.plans import callplan, channel, requests, store
from collectives.mpi.plans.channel import channel_of
from collectives.mpi.plans.traffic import Flight

WORLD = MPI.COMM_WORLD
SAMPLES = 40
AGAIN = 10  # times that each case is carried out beforehand
MANNERS = {BLOCKING: "blocking", NONBLOCKING: "nonblocking", PERSISTENT: "persistent"}
PLANS = 100  # that a communicator keeps: few, so that most are dropped again
IN_FLIGHT = 20  # requests of ours at most at any time, with a margin
CYCLES = 6000  # of Dup and Free; MPICH has about 2000 communicators


class Soak:
    """The run, as one rank sees it."""

    def __init__(self, calls: int, seed: int):
        self.calls = calls
        self.seed = seed
        self.watchdog = Watchdog(300)
        self.counts: Counter[str] = Counter()
        self.memory: list[float] = []
        self.number = 0

    def run(self) -> None:
        """All calls, with samples of the memory."""
        lasting = make_group(WORLD, list(range(WORLD.size)))
        for sample in range(1, SAMPLES + 1):
            command = f"mpirun -n {WORLD.size} python tests/fuzz/soak.py --seed {self.seed}"
            self.watchdog.enter(f"sample {sample} of {SAMPLES}", command)
            while self.counts["calls"] < self.calls * sample / SAMPLES:
                self.some_cases(lasting, 12)
                passing = make_group(WORLD, self.shuffled())
                self.some_cases(passing, 4)
                free_group(passing)
            self.cycles(lasting, CYCLES // SAMPLES)
            self.memory.append(resident())
            if WORLD.rank == 0:
                print(f"{self.counts['calls']} calls, {self.memory[-1]:.1f} MiB", file=sys.stderr)
        self.bounded(lasting)
        self.watchdog.rest()
        free_group(lasting)

    def shuffled(self) -> list[int]:
        """The ranks in another order."""
        ranks = list(range(WORLD.size))
        Random(f"{self.seed}/{self.number}").shuffle(ranks)
        return ranks

    def some_cases(self, group: Group, many: int) -> None:
        for _ in range(many):
            case = cases.draw(self.seed, self.number, group.p, GAPS, None)
            self.number += 1
            self.count(case)
            problem = cases.run(case, group, AGAIN)
            if problem is not None:
                raise AssertionError(f"case {self.number - 1}: {case}: {problem}")

    def count(self, case: cases.Case) -> None:
        for call, _ in case.calls:
            kind = MANNERS[call.manner] if isinstance(call, Call) else "object"
            self.counts[kind] += case.turns + AGAIN
            self.counts["calls"] += case.turns + AGAIN

    def cycles(self, group: Group, many: int) -> None:
        """Duplicate, use and free a communicator."""
        total = np.zeros(1)
        for number in range(many):
            comm = group.comms[0].Dup()
            comm.Allreduce(np.array([number + 1.0]), total)
            comm.Iallreduce(np.array([number + 1.0]), total).Wait()
            assert total[0] == (number + 1) * comm.size
            comm.Free()
            self.counts["cycles"] += 1

    def bounded(self, group: Group) -> None:
        """What the library keeps for the communicators that live on."""
        for comm in group.comms:
            kept = channel_of(comm)
            plans, pools = kept.store, kept.store.pools.values()
            assert plans.plans <= store.MAX_PLANS and plans.nbytes <= store.MAX_BYTES
            assert plans.plans == sum(len(pool.idle) + len(pool.direct) for pool in pools)
            assert plans.nbytes == sum(pool.nbytes for pool in pools)
            assert not kept.traffic.operations
            assert kept.traffic.place.alive == 0
            WORLD.Barrier()
            lane, first = kept.lane, kept.lane.tags[kept.rank]
            for tag in range(first, first + kept.traffic.place.next):
                assert not lane.comm.Iprobe(MPI.ANY_SOURCE, tag)
            WORLD.Barrier()
        assert signals() <= IN_FLIGHT, signals()


def resident() -> float:
    """Resident memory of this process in MiB, without free memory that malloc holds back.

    One large call would otherwise look like a leak from then on. Only glibc can give
    it back; elsewhere it counts.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    if sys.platform == "linux":
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    out = subprocess.run(["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True)
    return int(out.stdout) / 2**10


def leftovers() -> dict[str, int]:
    """What the library holds when no communicator uses it any more."""
    time.sleep(0.1)  # the thread that advances may still be tidying up
    gc.collect()
    kinds = Counter(type(each) for each in gc.get_objects())
    return {
        "channels": len(channel._CHANNELS),
        "operations in flight": len(PROGRESS.operations),
        "persistent requests watched": len(PROGRESS.watched),
        "persistent requests alive": len(requests._ALIVE),
        "tags of signals in use": signals() - len(SIGNALS._free),
        "objects: operations": kinds[Flight] + kinds[Replay],
        "objects: channels": kinds[channel.Channel],
        "objects: plans": kinds[callplan.CallPlan],
    }


def signals() -> int:
    """How many tags there have been for requests of ours, free or in use."""
    return int(repr(SIGNALS._more).strip("count()"))


def growth(memory: list[float]) -> float:
    """From the second to the last quarter."""
    quarter = len(memory) // 4
    return median(memory[-quarter:]) - median(memory[quarter : 2 * quarter])


def warm_up() -> None:
    """Whatever is made once and kept: progress, signals, the channel of the world."""
    group = make_group(WORLD, list(range(WORLD.size)))
    for _ in range(3):
        group.comms[0].Iallreduce(np.ones(1), np.zeros(1)).Wait()
    free_group(group)
    channel_of(WORLD)


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak.py", description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--allowance", type=float, default=4.0, help="MiB (default: 4)")
    given = parser.parse_args()
    store.MAX_PLANS = PLANS
    warnings.simplefilter("ignore", RuntimeWarning)  # sums of sums of sums, in place
    began = time.monotonic()
    warm_up()
    handles, before = in_use(), leftovers()
    soak = Soak(given.calls, given.seed)
    try:
        soak.run()
    except BaseException:
        traceback.print_exc()
        WORLD.Abort(1)  # or the others would wait for this rank
    after, handles_after = leftovers(), in_use()
    problems = [
        f"{what}: {n} before, {after[what]} after" for what, n in before.items() if after[what] > n
    ]
    # For opaque elements the library keeps one datatype of each size.
    kept = {"datatypes": buffers._bytes.cache_info().currsize}
    problems += [
        f"{what} of MPI in use: {n} before, {handles_after[what]} after"
        for what, n in handles.items()
        if handles_after[what] - kept.get(what, 0) != n
    ]
    grown = growth(soak.memory)
    if grown > given.allowance:
        problems.append(f"memory: {grown:.1f} MiB more, {given.allowance:g} are allowed")
    everybody = WORLD.gather((problems, soak.memory, grown))
    if everybody is not None:
        report(soak, everybody, given.allowance, time.monotonic() - began)
        told = ", ".join(f"{handles_after[what] - n:+d} {what}" for what, n in handles.items())
        print(f"  in use in MPI, since the beginning: {told}")
        print(f"  left over: {', '.join(f'{n} {what}' for what, n in after.items())}")
    return WORLD.bcast(any(problems for problems, *_ in everybody or []))


def report(soak: Soak, everybody: list, allowance: float, seconds: float) -> None:
    counts = dict(soak.counts)
    cycles = counts.pop("cycles")
    told = ", ".join(f"{n} {kind}" for kind, n in counts.items() if kind != "calls")
    print(f"{counts['calls']} calls ({told}), {cycles} cycles of Dup and Free, {seconds:.0f} s")
    for rank, (problems, memory, grown) in enumerate(everybody):
        curve = " ".join(f"{mib:.0f}" for mib in memory[:: len(memory) // 20])
        print(f"  rank {rank}: memory in MiB {curve}; {grown:+.2f}, +{allowance:g} allowed")
        for problem in problems:
            print(f"  rank {rank}: FAILED: {problem}")


if __name__ == "__main__":
    sys.exit(main())
