"""Grids: the ranks in rows and columns, each of them a ring of its own.

On a ring a rank is p-1 hops away from its left neighbour. Laid out in rows and columns, ranks
are no farther apart than a row and a column are long: in a square about 2 sqrt(p) rounds
instead of p for an allgather, 4 sqrt(p) instead of 2p for an allreduce, and the same bytes.
The grid is as near to a square as p can be divided (`rows(p)`); if p is a prime, there is only
one row, and the torus is a ring. For p = 12::

    0   1   2   3         rank 5 talks to 4, 6 (its row)
    4   5   6   7         and 1, 9 (its column)
    8   9  10  11

First one ring runs, then the other, each one way only, so most links of a real torus are
idle. `bidirectional_torus` keeps them all busy. It cuts every block into four pieces and runs
four times at once: rows first or columns first, forwards or backwards. That takes four ports;
with one port it is nothing but four times the messages.

An all-to-all has nothing to pass round. In `2d_mesh` a rank talks to all of its row at once,
then to all of its column, so that each block gets there in two hops.
"""

from ..language import algorithm, copy, partition, recv, rows, scratch, send, side_by_side, split
from .rings import pass_round


@algorithm("allgather", name="torus")
def allgather(rank, p, sendbuf, recvbuf):
    """Two-dimensional torus: a ring along the columns, then one along the rows.

    The ranks lie in `rows(p)` rows, as near to a square as p can be divided. The ring
    of its column brings each rank the blocks of the column; the ring of its row then
    passes round whole columns.

    Cost: (rows(p) + p/rows(p) - 2)*alpha + (p-1)*n/p*beta
    Restrictions: none
    Reference: Barnett et al. 1994
    """
    row, columns = next(ways(rank, p))
    yield copy(sendbuf, recvbuf[rank])
    yield from gather(rank, row, columns, recvbuf)


@algorithm("reduce_scatter", name="torus", commutative=True)
def reduce_scatter(rank, p, sendbuf, recvbuf):
    """Two-dimensional torus: a ring along the rows, then one along the columns.

    The allgather backwards. The ring of its row leaves each rank with the sum over the
    row, of the blocks of its own column; the ring of the column adds up these sums, each
    block where it belongs.

    Cost: (rows(p) + p/rows(p) - 2)*alpha + (p-1)*n/p*(beta + gamma)
    Restrictions: commutative op; the rings add up in cyclic order
    Reference: Barnett et al. 1994
    """
    row, columns = next(ways(rank, p))
    yield from scatter_sums(rank, row, columns, sendbuf, recvbuf)


@algorithm("allreduce", name="torus", commutative=True)
def allreduce(rank, p, sendbuf, recvbuf):
    """Two-dimensional torus: rings along the rows, then along the columns, and back.

    The ranks lie in `rows(p)` rows, as near to a square as p can be divided. A
    reduce-scatter along its row leaves each rank with one part of the row's sum;
    a ring allreduce along its column makes that part complete; an allgather along
    the row tells the others. Every rank sends 2(p-1)/p of the vector.

    Cost: 2*(rows(p) + p/rows(p) - 2)*alpha + 2*(p-1)*n/p*beta + (p-1)*n/p*gamma
    Restrictions: commutative op; the rings add up in cyclic order
    Reference: Mikami et al. 2018
    """
    row, columns = next(ways(rank, p))
    yield copy(sendbuf, recvbuf)
    yield from sum_everywhere(rank, row, columns, recvbuf)


@algorithm("allgather", name="bidirectional_torus")
def bidirectional_allgather(rank, p, sendbuf, recvbuf):
    """Bidirectional torus: a quarter of every block for each of four ways round.

    Two quarters go round the column, then round the row, in both directions; the other
    two go round the row first. So in a square each of a rank's four links carries a quarter
    of all bytes each way, all the time. A rank with one port sends four messages a round
    where `torus` sends one, and gains nothing.

    Cost: 4*(rows(p) + p/rows(p) - 2)*alpha + (p-1)*n/p*beta
    Restrictions: none
    Reference: Jain, Sabharwal 2010
    """
    quarter = [split(recvbuf[i], 4) for i in range(p)]
    yield copy(sendbuf, recvbuf[rank])
    yield from side_by_side(
        gather(rank, along, lines, [pieces[q] for pieces in quarter])
        for q, (along, lines) in enumerate(ways(rank, p))
    )


@algorithm("reduce_scatter", name="bidirectional_torus", commutative=True)
def bidirectional_reduce_scatter(rank, p, sendbuf, recvbuf):
    """Bidirectional torus: a quarter of every block is added up on each way round.

    The allgather backwards: `torus` on four quarters of the blocks at once, rows or columns
    first, in both directions.

    Cost: 4*(rows(p) + p/rows(p) - 2)*alpha + (p-1)*n/p*(beta + gamma)
    Restrictions: commutative op; the rings add up in cyclic order
    Reference: Jain, Sabharwal 2010
    """
    quarter, mine = [split(sendbuf[i], 4) for i in range(p)], split(recvbuf, 4)
    yield from side_by_side(
        scatter_sums(rank, along, lines, [pieces[q] for pieces in quarter], mine[q])
        for q, (along, lines) in enumerate(ways(rank, p))
    )


@algorithm("allreduce", name="bidirectional_torus", commutative=True)
def bidirectional_allreduce(rank, p, sendbuf, recvbuf):
    """Bidirectional torus: each quarter of the vector goes one of four ways round.

    The allreduce of `torus` on four quarters at once: along the rows or the columns
    first, in both directions.

    Cost: 8*(rows(p) + p/rows(p) - 2)*alpha + 2*(p-1)*n/p*beta + (p-1)*n/p*gamma
    Restrictions: commutative op; the rings add up in cyclic order
    Reference: Jain, Sabharwal 2010
    """
    quarter = split(recvbuf, 4)
    yield copy(sendbuf, recvbuf)
    yield from side_by_side(
        sum_everywhere(rank, along, lines, quarter[q])
        for q, (along, lines) in enumerate(ways(rank, p))
    )


@algorithm("alltoall", name="2d_mesh", also="2dmesh")
def alltoall(rank, p, sendbuf, recvbuf, counts):
    """Two-dimensional mesh: each block goes along its row, then along its column.

    A rank sends every other of its row, in one message, all blocks for the ranks in
    that one's column; then every other of its column all that has come for it. Two hops for
    a block, about 2 sqrt(p) messages instead of p-1, and nearly twice the bytes: between
    `naive` and `recursive_doubling`. SimGrid's `2dmesh` sends whole vectors along the
    rows, and leaves it to the receiver to sort out what goes on.

    Cost: (rows(p) + p/rows(p) - 2)*alpha + (2*p - rows(p) - p/rows(p))*n/p*beta
    Restrictions: none; where blocks differ, an allgather of all p*p counts comes first
    Reference: SimGrid (2dmesh)
    """
    row, columns = next(ways(rank, p))
    own = rank % len(row)
    column = columns[own]
    sizes = [[int(counts[source][dest]) for dest in column] for source in row]
    held = [[scratch(recvbuf.buf, size) for size in to_column] for to_column in sizes]
    held[own] = [sendbuf[dest] for dest in column]
    for source, blocks in zip(row, held):
        blocks[rank // len(row)] = sendbuf[rank] if source == rank else recvbuf[source]
    steps = []
    for dest, source in partners(rank, row):
        steps.append(send([sendbuf[i] for i in columns[dest % len(row)]], dest))
        steps.append(recv(held[source % len(row)], source))
    yield copy(sendbuf[rank], recvbuf[rank]), *steps
    steps = []
    for dest, source in partners(rank, column):
        steps.append(send([blocks[dest // len(row)] for blocks in held], dest))
        steps.append(recv(recvbuf[source - own : source - own + len(row)], source))
    yield steps


def partners(rank, line):
    """Whom a rank sends to and hears from in its line: no two the same at the same time."""
    place, size = line.index(rank), len(line)
    for k in range(1, size):
        yield line[(place + k) % size], line[(place - k) % size]


def ways(rank, p):
    """The ring of a rank and the lines across it, one for each on the ring: four ways.

    The ring is the row and the lines are all columns, forwards and backwards; then the ring
    is the column and the lines are all rows.
    """
    wide = p // rows(p)
    all_rows = [range(first, first + wide) for first in range(0, p, wide)]
    all_columns = [range(first, p, wide) for first in range(wide)]
    for ring, lines in (
        (all_rows[rank // wide], all_columns),
        (all_columns[rank % wide], all_rows),
    ):
        yield ring, lines
        yield ring[::-1], [line[::-1] for line in lines[::-1]]


def gather(rank, ring, lines, block):
    """All blocks to all ranks: first those of one's own line, then whole lines."""
    line = lines[ring.index(rank)]
    yield from pass_round(rank, line, [block[member] for member in line])
    whole = [[block[member] for member in line] for line in lines]
    yield from pass_round(rank, ring, whole)


def scatter_sums(rank, ring, lines, block, result):
    """The sum of one's own block: first those of all the blocks of one's own line."""
    place = ring.index(rank)
    counts = [[block[member].size for member in line] for line in lines]
    part = partition(scratch(result, sum(map(sum, counts))), list(map(sum, counts)))
    mine, arriving = partition(part[place], counts[place]), scratch(result, max(map(sum, counts)))
    yield copy([block[member] for line in lines for member in line], part.buf)
    yield from pass_round(rank, ring, part, arriving)
    yield from pass_round(rank, lines[place], mine, arriving)
    yield copy(mine[lines[place].index(rank)], result)


def sum_everywhere(rank, ring, lines, vector):
    """The sum for all: share out the vector on the ring and its parts on the line, and back."""
    place = ring.index(rank)
    part = split(vector, len(ring))
    piece = split(part[place], len(lines[place]))
    arriving = scratch(part[0])
    yield from pass_round(rank, ring, part, arriving)
    yield from pass_round(rank, lines[place], piece, arriving)
    yield from pass_round(rank, lines[place], piece)
    yield from pass_round(rank, ring, part)
