"""How finely to cut a vector for a pipeline."""

from math import ceil, sqrt


def default_segments(hops: int, nbytes: int, startup: int = 8192) -> int:
    """The best number of segments for a pipeline over `hops` hops.

    A pipeline of s segments takes (hops - 1 + s) rounds of alpha + nbytes/s * beta.
    The minimum is at s = sqrt((hops - 1) * nbytes * beta / alpha); `startup` is
    alpha / beta, the bytes that could be sent while a message starts.
    """
    return max(1, ceil(sqrt(max(hops - 1, 0) * nbytes / startup)))
