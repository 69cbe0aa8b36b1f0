"""How flows share links: max-min fairly, by progressive filling.

The rates of all flows grow together. When a link is full, or a flow is as fast as its port
allows, these flows stay at their rate, and the others go on.
"""

from __future__ import annotations

import numpy as np

# Shares so near each other are one: they differ by rounding.
SAME = 1 + 1e-12


def fair_rates(routes: np.ndarray, most: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """The rate of each flow.

    Parameters
    ----------
    routes : numpy.ndarray of int, shape (flows, links of the longest route)
        Numbers of links; shorter routes are filled up with the number of a link that has no limit.
    most : numpy.ndarray of float, shape (flows,)
        The rate that each flow has alone.
    limits : numpy.ndarray of float, shape (links,)
        The rate of each link.

    Examples
    --------
    Two flows over link 0, of which one passes link 1 as well:

    >>> routes, most = np.array([[0, 2], [0, 1]]), np.array([9.0, 9.0])
    >>> fair_rates(routes, most, np.array([4.0, 1.0, np.inf])).tolist()
    [3.0, 1.0]
    """
    rates = most.copy()
    left = limits.copy()
    growing = np.arange(len(routes))
    users = np.bincount(routes.ravel(), minlength=len(limits)).astype(float)
    while growing.size:
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.where(users > 0, left / users, np.inf)
        mine = np.minimum(shares[routes[growing]].min(axis=1), most[growing])
        full = mine <= mine.min() * SAME
        done = growing[full]
        rates[done] = mine[full]
        passed = routes[done]
        np.subtract.at(left, passed, rates[done, np.newaxis])
        users -= np.bincount(passed.ravel(), minlength=len(limits))
        np.maximum(left, 0.0, out=left)
        growing = growing[~full]
    return rates
