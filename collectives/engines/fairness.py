"""How flows share links: max-min fairly, by progressive filling.

The rates of all flows grow together. When a link is full, or a flow is as fast as its port
allows, these flows stay at their rate, and the others go on. What happens in one part of the
network does not wait for the rest: a link is full at its share as soon as none of its flows
has a smaller share elsewhere, so that all such links are filled at once.
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
        Numbers of links; shorter routes are filled up with the last link, which has no limit.
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
    rates, left = most.copy(), limits.copy()
    growing = np.arange(len(routes))
    while growing.size:
        way = routes[growing]
        users = np.bincount(way.ravel(), minlength=len(limits))
        shares = left / np.maximum(users, 1)
        mine = np.minimum(shares[way].min(axis=1), most[growing])
        least = np.full(len(limits), np.inf)  # of the flows of each link
        np.minimum.at(least, way, mine[:, np.newaxis])
        full = least * SAME >= shares
        full[-1] = False
        done = full[way].any(axis=1) | (mine >= most[growing])
        rates[growing[done]] = mine[done]
        np.subtract.at(left, way[done], mine[done, np.newaxis])
        np.maximum(left, 0.0, out=left)
        growing = growing[~done]
    return rates
