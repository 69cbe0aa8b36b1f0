"""Times of any length from few prices: near the prices, never below a floor that is above them."""

import pytest

from collectives.machine import Clock, Machine, machine
from collectives.study import curves
from collectives.study.curves import Curve
from collectives.study.pricing import TooLong, price
from collectives.study.tables import CANDIDATES, ON_NODES

NODES = machine("nodes:4x2,nic=25G,latency=15us,near_latency=5us,near_rate=5 GB/s,gamma=0.06ns")
FLAT = Machine(Clock(5e-6, 2e-10, 6e-11))
SIZES = [8 << shift for shift in range(0, 25, 3)]
COARSE_FIRST = sorted(SIZES, key=lambda n: (SIZES.index(n) % 4 != 0, SIZES.index(n) % 2, n))
SOME = [
    (primitive, name)
    for primitive in ("bcast", "allgather", "allreduce", "alltoall")
    for name in (*CANDIDATES[primitive], *ON_NODES.get(primitive, ()))
]


@pytest.mark.share(4)
@pytest.mark.parametrize("primitive, name", SOME)
def test_curve_is_near_the_prices(primitive, name):
    curve = Curve(primitive, name, 8, NODES)
    for n in COARSE_FIRST:
        wanted = price(primitive, name, 8, n, NODES)
        assert curve.at_least(n) <= wanted * (1 + 1e-9)
        assert curve.at(n) == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("name", CANDIDATES["allreduce"])
def test_curve_without_nodes(name):
    curve = Curve("allreduce", name, 6, FLAT)
    for n in COARSE_FIRST:
        wanted = price("allreduce", name, 6, n, FLAT)
        assert curve.at_least(n) <= wanted * (1 + 1e-9)
        assert curve.at(n) == pytest.approx(wanted, rel=0.02)


def test_what_lies_on_a_line_is_not_priced_again():
    curve = Curve("allgather", "ring", 8, NODES)
    for n in COARSE_FIRST:
        curve.at(n)
    assert len(curve.times) < len(SIZES)


def test_what_takes_too_long_is_infinite(monkeypatch):
    def never(*_):
        raise TooLong("too long")

    monkeypatch.setattr(curves, "priced", never)
    curve = Curve("alltoall", "naive", 8, NODES)
    assert curve.at(2**20) == float("inf") and curve.at_least(2**21) < float("inf")
