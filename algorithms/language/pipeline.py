"""How finely to cut a vector for a pipeline."""

from math import ceil, sqrt


def default_segments(hops: int, nbytes: int, startup: int = 8192, *, rate: int = 1) -> int:
    """The best number of segments for a pipeline over `hops` hops.

    The first segment takes `hops` rounds, every other one arrives `rate` rounds
    after the one before it, and a round takes alpha + nbytes/s * beta. The minimum
    is at s = sqrt((hops - rate) * nbytes * beta / (rate * alpha)); `startup` is
    alpha / beta, the bytes that could be sent while a message starts.
    """
    return max(1, ceil(sqrt(max(hops - rate, 0) * nbytes / (rate * startup))))
