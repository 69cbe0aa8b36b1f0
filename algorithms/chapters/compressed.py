"""Compressed allreduce: fewer bytes, at the price of an error.

A partial sum is encoded before it is sent and decoded where it is added to another.
What is lost in between depends on the codec (`codecs`), and on how often a contribution
is encoded on its way into the sum, because every time adds an error. For a power of two:

    ring        p times at most, (p+1)/2 on average
    halving     lg p + 1 times at most, lg p / 2 + 1 on average
    one-shot    once, but everybody is sent everything

Random errors are independent, so that their squares add up: with `int8` the ring's error
is about as many times the one-shot's as the square root of (p+1)/2 says. It can be
seen with `python -m collectives error`.

In the end all ranks must have the same bits. So a rank that has a complete block
encodes it once more; the packet reaches all others unchanged, by an allgather that
need not know what it carries, and everybody decodes it, the rank that made it, too.

The vector is cut into p blocks, and a packet always holds one block (in one-shot: the
whole vector). Packets lie side by side in the order of the ranks, as blocks do.
"""

from .. import allgather
from ..language import (
    algorithm,
    codec_for,
    copy,
    decode,
    encode,
    neighbours,
    recv,
    reduce,
    scratch,
    send,
    skips,
    split,
)
from . import circulant


def _lay_out(vector, p, codec):
    """The p blocks of a vector, scratch for their packets and for one block."""
    block = split(vector, p)
    packet = codec.packets(vector, [block.size(i) for i in range(p)])
    return block, packet, scratch(block[0])


def _add(packet, total, partial, codec):
    """Decode a packet and add it to `total`."""
    share = partial[: total.size]
    return decode(packet, share, codec), reduce(share, total)


def _spread(rank, p, gather, block, packet, codec):
    """Encode the complete block of this rank; gather all packets; decode them."""
    yield encode(block[rank], packet[rank], codec)
    yield from gather(rank, p, packet[rank], packet)
    yield [decode(packet[i], block[i], codec) for i in range(p)]


@algorithm(
    "allreduce",
    also=("quantised_ring:codec=int8", "sparse_ring:codec=topk"),
    commutative=True,
    lossy=True,
)
def compressed_ring(rank, p, sendbuf, recvbuf, *, codec="int8", bucket=256, ratio=16, seed=0):
    """Compressed ring: the ring allreduce, with packets in place of blocks.

    In p-1 rounds every rank encodes a partial sum, passes the packet to the right,
    decodes what comes from the left and adds it to its own share of that block; rank r
    ends with the sum of block r. It encodes the sum, the packets travel once round the
    ring, and all decode all of them. The share of rank r+1 in block r is encoded p
    times, with an error each time.

    `codec` is one of `codecs.CODECS`; `int8` has `bucket` elements that share a scale,
    and draws what follows from `seed` and the rank; `topk` keeps one of `ratio` elements.

    Cost: 2*(p-1)*(alpha + packet(n/p)*beta) + (p-1)*n/p*gamma
    Restrictions: lossy, sums of floating-point numbers only, commutative op; the operands
        are in cyclic order
    Reference: Ahmed et al. 2025; Alistarh et al. 2017 (int8); Renggli et al. 2019 (topk)
    """
    codec = codec_for(recvbuf, codec, rank, bucket=bucket, ratio=ratio, seed=seed)
    left, right = neighbours(rank, p)
    block, packet, partial = _lay_out(recvbuf, p, codec)
    yield copy(sendbuf, recvbuf)
    for k in range(1, p):
        leaving, coming = (rank - k) % p, (rank - k - 1) % p
        yield encode(block[leaving], packet[leaving], codec)
        messages = send(packet[leaving], right), recv(packet[coming], left)
        yield *messages, *_add(packet[coming], block[coming], partial, codec)
    yield from _spread(rank, p, allgather.ring, block, packet, codec)


@algorithm(
    "allreduce",
    also=("quantised_halving:codec=int8", "sparse_halving:codec=topk"),
    commutative=True,
    lossy=True,
)
def compressed_halving(rank, p, sendbuf, recvbuf, *, codec="int8", bucket=256, ratio=16, seed=0):
    """Compressed halving: the circulant allreduce, with packets in place of blocks.

    Rank r holds partial sums of the blocks r, r+1, ..., of all p at first. In each of
    ceil(lg p) rounds it encodes the far half of them, sends these packets to the rank
    whose near half they are, and adds what comes from the left to its own near half
    (see `circulant`). It ends with the sum of block r and encodes it; the packets are
    gathered in as many rounds, and all decode all of them. No p is special, and no
    contribution is encoded more than ceil(lg p) + 1 times.

    `codec`, `bucket`, `ratio` and `seed` are those of `compressed_ring`.

    Cost: 2*ceil(lg(p))*alpha + 2*(p-1)*packet(n/p)*beta + (p-1)*n/p*gamma
    Restrictions: lossy, sums of floating-point numbers only, commutative op; partial sums
        from both ends of the ring meet
    Reference: Träff 2024; Alistarh et al. 2017 (int8); Shi et al. 2019 (the largest, chosen
        again at every hop)
    """
    codec = codec_for(recvbuf, codec, rank, bucket=bucket, ratio=ratio, seed=seed)
    block, packet, partial = _lay_out(recvbuf, p, codec)
    yield copy(sendbuf, recvbuf)
    wide = p
    for skip in reversed(skips(p)[:-1]):
        near, right = [(rank + i) % p for i in range(wide - skip)], (rank + skip) % p
        far = [(right + i) % p for i in range(wide - skip)]
        yield [encode(block[i], packet[i], codec) for i in far]
        steps = [
            send(packet.range(right, wide - skip), right),
            recv(packet.range(rank, wide - skip), (rank - skip) % p),
        ]
        for i in near:
            steps += _add(packet[i], block[i], partial, codec)
        yield steps
        wide = skip
    yield from _spread(rank, p, circulant.allgather, block, packet, codec)


@algorithm(
    "allreduce",
    also=("quantised_oneshot:codec=int8", "sparse_oneshot:codec=topk"),
    lossy=True,
)
def compressed_oneshot(rank, p, sendbuf, recvbuf, *, codec="int8", bucket=256, ratio=16, seed=0):
    """Compressed one-shot: everybody gets everybody's packet and adds up alone.

    Each rank encodes its whole vector, an allgather on a circulant graph brings all
    packets to all ranks, and each decodes them one after the other and adds them up in
    rank order. So every contribution is encoded once, and of the three this has the
    smallest error; but p-1 packets of a whole vector reach every rank, which pays for few
    ranks, or where a packet is a small part of the vector.

    `codec`, `bucket`, `ratio` and `seed` are those of `compressed_ring`.

    Cost: ceil(lg(p))*alpha + (p-1)*packet(n)*beta + (p-1)*n*gamma
    Restrictions: lossy, sums of floating-point numbers only
    Reference: Alistarh et al. 2017 (int8); Renggli et al. 2019 (topk)
    """
    codec = codec_for(recvbuf, codec, rank, bucket=bucket, ratio=ratio, seed=seed)
    packet = codec.packets(recvbuf, [recvbuf.size] * p)
    yield encode(sendbuf, packet[rank], codec)
    yield from circulant.allgather(rank, p, packet[rank], packet)
    partial = scratch(recvbuf)
    yield decode(packet[0], recvbuf, codec)
    for i in range(1, p):
        yield decode(packet[i], partial, codec), reduce(recvbuf, partial, out=recvbuf)
