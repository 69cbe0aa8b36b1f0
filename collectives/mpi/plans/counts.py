"""Calls that need to know of other ranks' blocks first: what is called, one after the other.

In a v-variant only the root may know the counts, or every rank only its own. Then the
ranks tell each other before the call itself, by collectives of ours. Each function here
yields the invocations that it takes; the next is asked for when the one before has been
carried out, and the last is the call itself. So no form has to be written twice.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from collectives.algorithms.language.ranks import Tree
from collectives.algorithms.language.registry import Algorithm
from collectives.errors import BufferMismatch, SpellingMismatch
from collectives.mpi.data.arguments import READERS, Reader, check_root
from collectives.mpi.data.blocks import read_blocks
from collectives.mpi.data.buffers import integers, is_in_place
from collectives.mpi.data.staging import Placement
from collectives.mpi.plans.channel import Channel
from collectives.mpi.plans.keys import NOT_KEPT, key_of
from collectives.mpi.plans.recording import Invocation

MOST_COUNTS = 1024  # kinds of buffers whose counts are remembered

Invocations = Iterator[Invocation]
Exchange = Generator[Invocation, None, Any]  # returns what is known then


def invocations(channel: Channel, call: Invocation) -> Invocations:
    """What a call comes to, in a form that tells counts first."""
    return _FORMS[call.form](channel, call._replace(form=""))


def _reduce_scatter(channel: Channel, call: Invocation) -> Invocations:
    """Without counts every rank knows the length of its own block."""
    title = str(channel.recorder.choose(*call[:2], call.parameters)[0])
    sendbuf, recvbuf = call.buffers
    if call.counts is not None:
        counts = integers(title, "recvcounts", call.counts, channel.p)
    elif is_in_place(sendbuf):
        raise SpellingMismatch(
            f"{title}: recvcounts needs one count per rank with MPI.IN_PLACE, got None; "
            "give the counts or use reduce_scatter_block",
            mpi_class="ERR_COUNT",
        )
    else:
        reader = Reader(title, channel.rank, channel.p, reduces=True)
        length = reader.output("recvbuf", recvbuf).view.size
        counts = (yield from _exchange(channel, [length], title))[:, 0].tolist()
    yield call._replace(counts=tuple(counts))


def _alltoallv(channel: Channel, call: Invocation) -> Invocations:
    """Algorithms that forward blocks need the lengths of all of them."""
    chosen, _ = channel.recorder.choose(*call[:2], call.parameters)
    counts: tuple[()] | bytes = ()
    if chosen.needs_counts:
        title, in_place = str(chosen), is_in_place(call.buffers[0])
        name, buf = ("recvbuf", call.buffers[1]) if in_place else ("sendbuf", call.buffers[0])
        reader = Reader(title, channel.rank, channel.p, counts=())

        def read() -> Sequence[int]:
            if call.reader == "alltoallw":
                vector = read_blocks(title, name, buf, channel.p, writes=False)
            else:
                vector = reader.input(name, buf, blocked=True)
            return reader.counts_of(vector)

        mine = _counts_in(channel, reader, f"{call.reader} {name}", (buf,), read)
        counts = (yield from _exchange(channel, mine, title)).tobytes()
    yield call._replace(counts=counts)


def _alltoallw(channel: Channel, call: Invocation) -> Invocations:
    return _alltoallv(channel, call._replace(reader="alltoallw"))


def _from_root(channel: Channel, call: Invocation) -> Invocations:
    """Only the root knows the counts."""
    chosen, given = channel.recorder.choose(*call[:2], call.parameters)
    root = check_root(str(chosen), call.root, channel.p)
    counts, problem = _counts_at_root(channel, chosen, root, call.buffers)
    if chosen.tree is None:
        yield Invocation("bcast", "tree", (counts,), root, within=f"counts of {chosen}")
    else:
        yield from _tell_subtrees(channel, chosen, given, root, counts)
    if counts.min() < 0:
        name = "sendbuf" if call.primitive == "scatter" else "recvbuf"
        raise problem or BufferMismatch(
            f"{chosen}: the root, rank {root}, needs a {name} with counts and buffers that fit, "
            "got others; its own error says which"
        )
    yield call._replace(root=root, counts=tuple(counts.tolist()))


def _counts_at_root(
    channel: Channel, chosen: Algorithm, root: int, buffers: Sequence[Any]
) -> tuple[np.ndarray, BufferMismatch | None]:
    """The counts, filled in at the root; -1 and what is wrong if its arguments are."""
    counts = np.empty(channel.p, np.int64)
    if channel.rank != root:
        return counts, None
    try:
        reader, read = Reader(str(chosen), root, channel.p, root, ()), READERS[chosen.primitive]
        counts[:] = _counts_in(
            channel, reader, chosen.primitive, buffers, lambda: read(reader, *buffers).counts
        )
    except BufferMismatch as error:
        counts[:] = -1
        return counts, error
    return counts, None


def _counts_in(
    channel: Channel,
    reader: Reader,
    what: str,
    buffers: Sequence[Any],
    read: Callable[[], Sequence[int]],
) -> Sequence[int]:
    """The counts that buffers say, as `read` tells: asked once for all buffers like these."""
    try:
        shape, addresses = key_of(what, reader.title, buffers, reader.root, None, None, None, [])
        found = channel.counts.get(shape)
    except NOT_KEPT:
        return read()
    if found is None or not found[1].allows(addresses):
        if len(channel.counts) == MOST_COUNTS:
            channel.counts.clear()
        counts = tuple(read())  # this places the buffers, whose memory is not to be kept
        found = channel.counts[shape] = counts, Placement(apart=reader.placement.apart)
    return found[0]


def _tell_subtrees(
    channel: Channel, chosen: Algorithm, given: dict[str, Any], root: int, counts: np.ndarray
) -> Exchange:
    """The root tells every rank the counts of its subtree; those of other ranks become 0.

    They are scattered along the tree that the blocks will take.
    """
    rank = channel.rank
    assert chosen.tree is not None
    subtrees = _subtrees(chosen.tree, channel.p, root, tuple(given.items()))
    sizes = [last - first for first, last in subtrees]
    mine, blocks = np.empty(sizes[rank], np.int64), None
    if rank == root:
        blocks = [np.concatenate([counts[first:last] for first, last in subtrees]), sizes]
    yield Invocation(
        "scatter",
        chosen.name,
        (blocks, mine),
        root,
        None,
        given,
        tuple(sizes),
        within=f"counts of {chosen}",
    )
    counts[:] = 0
    counts[slice(*subtrees[rank])] = mine


@lru_cache(maxsize=64)
def _subtrees(
    tree: Callable[..., Tree], p: int, root: int, parameters: tuple[tuple[str, Any], ...]
) -> list[tuple[int, int]]:
    """The first rank of each rank's subtree, and the one after its last."""
    places = [tree(rank, p, root, **dict(parameters)).mine for rank in range(p)]
    return [(place.first, place.last) for place in places]


def _exchange(channel: Channel, mine: Sequence[int], title: str) -> Exchange:
    """Everybody's numbers, one row per rank."""
    row = np.array(mine, np.int64)
    everyone = np.empty((channel.p, row.size), np.int64)
    within = f"counts of {title}"
    yield Invocation("allgather", "recursive_doubling", (row, everyone), within=within)
    return everyone


_FORMS = {
    "scatterv": _from_root,
    "gatherv": _from_root,
    "reduce_scatter": _reduce_scatter,
    "alltoallv": _alltoallv,
    "alltoallw": _alltoallw,
}
