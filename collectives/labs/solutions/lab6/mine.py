"""Lab 6: ZeRO by hand, the reference solution.

What the sheet asks, for 7 billion parameters on 64 ranks: `zero1` takes 29.5 GB, `zero2` 15.5 GB
and `zero3` 1.75 GB, the last two and what one layer needs.
"""

from collectives.algorithms.language import (
    algorithm,
    copy,
    neighbours,
    recv,
    reduce,
    scratch,
    send,
    split,
)


@algorithm("allgather")
def spread(rank, p, sendbuf, recvbuf):
    """A ring of blocks."""
    left, right = neighbours(rank, p)
    yield copy(sendbuf, recvbuf[rank])
    for k in range(p - 1):
        yield send(recvbuf[(rank - k) % p], right), recv(recvbuf[(rank - k - 1) % p], left)


@algorithm("reduce_scatter", commutative=True)
def add_up(rank, p, sendbuf, recvbuf):
    """A ring of partial sums."""
    left, right = neighbours(rank, p)
    longest = max(sendbuf.size(i) for i in range(p))
    passing, arriving = scratch(recvbuf, longest), scratch(recvbuf, longest)
    first = sendbuf[(rank - 1) % p]
    if p == 1:
        yield copy(first, recvbuf)
    for k in range(p - 1):
        mine = sendbuf[(rank - k - 2) % p]
        came = arriving[: mine.size]
        yield send(first, right), recv(came, left), reduce(mine, came)
        first, passing, arriving = came, arriving, passing
    if p > 1:
        yield copy(first, recvbuf)


def shard(rank, p, net, layer):
    """Where this rank's part of a layer lies."""
    whole = net.initial(layer)
    return split(whole, p)[rank]


def prepare(rank, p, net, layer):
    """What Adam keeps, sharded."""
    mine = shard(rank, p, net, layer)
    net.keep("master", layer, mine.size)[:] = mine
    net.keep("first", layer, mine.size)
    net.keep("second", layer, mine.size)
    return mine


def zero1(rank, p, net):
    """Whole weights and gradients."""
    for layer in net.layers:
        prepare(rank, p, net, layer)
        net.keep("weights", layer, net.size(layer))[:] = net.initial(layer)
        net.keep("gradients", layer, net.size(layer))
        net.keep("gradient_shard", layer, net["master", layer].size)
    for step in range(net.steps):
        for layer in net.layers:
            net.forward(layer, step)
        for layer in reversed(net.layers):
            net.backward(layer)
            yield from add_up(
                rank, p, split(net["gradients", layer], p), net["gradient_shard", layer]
            )
        for layer in net.layers:
            net.adam(layer, step)
            yield from spread(rank, p, net["master", layer], split(net["weights", layer], p))


def summed(rank, p, net, layer):
    """The gradients of one layer, summed to shards; the whole lives no longer than that."""
    net.keep("gradients", layer, net.size(layer))
    net.backward(layer)
    mine = net.keep("gradient_shard", layer, net["master", layer].size)
    yield from add_up(rank, p, split(net["gradients", layer], p), mine)
    net.drop("gradients", layer)


def zero2(rank, p, net):
    """Whole weights, and the gradients of one layer."""
    for layer in net.layers:
        prepare(rank, p, net, layer)
        net.keep("weights", layer, net.size(layer))[:] = net.initial(layer)
    for step in range(net.steps):
        for layer in net.layers:
            net.forward(layer, step)
        for layer in reversed(net.layers):
            yield from summed(rank, p, net, layer)
        for layer in net.layers:
            net.adam(layer, step)
            net.drop("gradient_shard", layer)
            yield from spread(rank, p, net["master", layer], split(net["weights", layer], p))


def gathered(rank, p, net, layer):
    """One layer, whole."""
    whole = net.keep("weights", layer, net.size(layer))
    yield from spread(rank, p, net["shard", layer], split(whole, p))


def zero3(rank, p, net):
    """One layer whole at a time."""
    for layer in net.layers:
        mine = prepare(rank, p, net, layer)
        net.keep("shard", layer, mine.size)[:] = mine
    for step in range(net.steps):
        for layer in net.layers:
            yield from gathered(rank, p, net, layer)
            net.forward(layer, step)
            net.drop("weights", layer)
        for layer in reversed(net.layers):
            yield from gathered(rank, p, net, layer)
            yield from summed(rank, p, net, layer)
            net.drop("weights", layer)
        for layer in net.layers:
            net.adam(layer, step)
            net.drop("gradient_shard", layer)
            net["shard", layer][:] = net["master", layer]
