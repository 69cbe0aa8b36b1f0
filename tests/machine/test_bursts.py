"""NICs that pass a burst at once after a pause: token buckets."""

import re

import pytest

from collectives.errors import ArgumentError
from collectives.machine import dumps, machine
from collectives.study.cuts import least
from collectives.study.pricing import price
from collectives.study.simulation import simulate
from collectives.study.tables import TIE, prices, ranges

BURST, RATE = 2**15, 8e6
LINE = "nodes:{},nic=8 MB/s,latency=10us,overhead=5us,rate=100 MB/s,burst=32K"


@pytest.mark.parametrize("n", [1, 4, 64])
def test_a_message_pays_for_what_its_burst_does_not_hold(n):
    """Until the bucket is empty the port of the rank is the limit."""
    size = n * BURST
    time = 20e-6 + max(size / 100e6, (size - BURST) / RATE)
    assert price("bcast", "tree", 2, size, machine(LINE.format("2x1"))) == pytest.approx(time)


def test_what_is_saved_up_in_between_passes_at_once():
    """The second round of a ring begins when the first is over: little has been saved up."""
    here = machine(LINE.format("3x1"))
    block = 2 * BURST
    rounds = 2 * 20e-6 + (2 * block - BURST) / RATE
    assert price("allgather", "ring", 3, 3 * block, here) == pytest.approx(rounds, rel=0.01)


@pytest.mark.parametrize("rate", ["100 MB/s", "inf"])
@pytest.mark.parametrize("shape", ["2x1", "3x2"])
def test_nothing_is_faster_than_the_bound(shape, rate):
    here = machine(LINE.format(shape).replace("100 MB/s", rate))
    plain = machine(LINE.format(shape).replace("100 MB/s", rate).replace(",burst=32K", ""))
    for primitive in ("bcast", "allgather", "allreduce", "alltoall"):
        for n in (1000, BURST, 10 * BURST):
            bound = least(primitive, here.p, n, here).seconds
            for name in ("naive", "ring", "recursive_doubling"):
                time = price(primitive, name, here.p, n, here)
                assert bound <= time * (1 + 1e-9)
                assert time <= price(primitive, name, here.p, n, plain) * (1 + 1e-9)


def test_a_link_is_never_busy_for_longer_than_the_run():
    run = simulate("alltoall", "naive", p=6, n=60 * BURST, topology=LINE.format("3x2"))
    assert 0.8 < run.bottleneck.busy / run.time <= 1


@pytest.mark.parametrize("primitive", ["bcast", "allreduce", "allgather"])
def test_a_table_for_buckets_has_the_cheapest(primitive):
    """Times grow along no straight line there."""
    here = machine(LINE.format("4x1"))
    row = ranges(primitive, 4, here, largest=2**20)
    for n in (8, 4096, 2**15, 2**16, 2**17, 2**20):
        name = [name for start, name in row if start <= n][-1]
        every = prices(primitive, 4, n, here)
        assert every[name] <= TIE * 1.01 * min(every.values())


def test_it_is_written_and_read():
    here = machine(LINE.format("4x2"))
    assert 'burst = "32768B"' in dumps(here) and here.burst == BURST


@pytest.mark.parametrize(
    "words, why",
    [
        ("nodes:2x1,nic=1G,burst=-1", "burst must be bytes that a NIC passes at once"),
        ("nodes:2x1,nic=1G,burst=inf", "burst must be bytes that a NIC passes at once"),
        ("flat,burst=8K", "burst is for nodes, got topology flat"),
    ],
)
def test_a_burst_of_nonsense_is_refused(words, why):
    with pytest.raises(ArgumentError, match=re.escape(why)):
        machine(words)
