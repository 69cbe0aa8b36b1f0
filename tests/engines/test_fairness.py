"""Shares of links: what max-min fairness means, link by link."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collectives.engines.fairness import fair_rates


@st.composite
def networks(draw):
    links = draw(st.integers(1, 8))
    limits = draw(st.lists(st.sampled_from([1.0, 2.0, 3.0, 7.5]), min_size=links, max_size=links))
    route = st.lists(st.integers(0, links - 1), min_size=1, max_size=4, unique=True)
    routes = draw(st.lists(route, min_size=1, max_size=12))
    most = [draw(st.sampled_from([0.1, 1.0, 50.0, np.inf])) for _ in routes]
    return limits, routes, most


@given(networks())
@settings(max_examples=60, deadline=None)
def test_nobody_can_have_more(network):
    """No link carries too much, and whoever could go faster passes a full link at its head."""
    limits, routes, most = network
    width = max(map(len, routes))
    padded = np.array([[*route, *[len(limits)] * (width - len(route))] for route in routes])
    rates = fair_rates(padded, np.array(most), np.array([*limits, np.inf]))
    loads = np.zeros(len(limits))
    fastest = np.zeros(len(limits))
    for route, rate in zip(routes, rates):
        loads[route] += rate
        fastest[route] = np.maximum(fastest[route], rate)
    assert (loads <= np.array(limits) * (1 + 1e-9)).all()
    for route, rate, limit in zip(routes, rates, most):
        heads = [k for k in route if rate >= fastest[k] * (1 - 1e-9)]
        full = any(loads[k] >= limits[k] * (1 - 1e-9) for k in heads)
        assert rate > 0 and (rate == limit or full)


def test_what_is_left_goes_to_the_others():
    """Two flows share link 0 of 10; one may have 2 at most, so the other has 8."""
    routes, limits = np.array([[0], [0]]), np.array([10.0, np.inf])
    assert fair_rates(routes, np.array([2.0, np.inf]), limits).tolist() == [2, 8]


def test_thirds_of_a_link():
    routes, limits = np.zeros((3, 1), int), np.array([1.0, np.inf])
    assert np.allclose(fair_rates(routes, np.full(3, np.inf), limits), 1 / 3)
