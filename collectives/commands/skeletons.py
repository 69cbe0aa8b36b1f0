"""A first algorithm of each primitive, to be changed into a better one.

Each is the simplest that is right for every p, and says in a comment where to go on.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from collectives.algorithms.language.registry import ARGUMENTS

# Ruff's own line length, so that a new file is formatted in any project.
WIDTH = 88


@dataclass(frozen=True)
class Skeleton:
    """What differs between the primitives.

    Attributes
    ----------
    words : str
        What the body needs of `collectives.algorithms.language`.
    summary, explanation, cost : str
        The docstring, without its other lines.
    body : str
        The algorithm.
    further : str
        Where to go on.
    commutative : bool
        It needs an operator that commutes.
    """

    words: str
    summary: str
    explanation: str
    cost: str
    body: str
    further: str
    commutative: bool = False


_FILE = '''\
"""{title} of your own: change it, then check that it is still right."""

{imports}


@algorithm("{primitive}"{options})
def {name}({arguments}):
    """{summary}

{explanation}

    Cost: {cost}
    Restrictions: {restrictions}
    Reference: folklore
    """
{body}
{further}
'''


def source(primitive: str, name: str) -> str:
    """The text of a file with a first algorithm of this name."""
    skeleton = SKELETONS[primitive]
    return _FILE.format(
        title=f"{'An' if primitive[0] in 'ae' else 'A'} {primitive}",
        imports=_imports(sorted([*skeleton.words.split(), "algorithm"])),
        primitive=primitive,
        options=", commutative=True" if skeleton.commutative else "",
        name=name,
        arguments=", ".join(["rank", "p", *ARGUMENTS[primitive]]),
        summary=skeleton.summary,
        explanation=_indented(skeleton.explanation),
        cost=skeleton.cost,
        restrictions="commutative op" if skeleton.commutative else "none",
        body=_indented(skeleton.body),
        further=textwrap.fill(
            " ".join(skeleton.further.split()),
            WIDTH,
            initial_indent="    # To go on. ",
            subsequent_indent="    # ",
        ),
    )


def _imports(words: list[str]) -> str:
    start = "from collectives.algorithms.language import "
    line = start + ", ".join(words)
    if len(line) <= WIDTH:
        return line
    return f"{start}(\n" + "".join(f"    {word},\n" for word in words) + ")"


def _indented(text: str) -> str:
    return textwrap.indent(text, "    ")


SKELETONS: Mapping[str, Skeleton] = {
    "barrier": Skeleton(
        words="NOTHING recv send",
        summary="Central counter: everyone reports to rank 0, then rank 0 answers everyone.",
        explanation="""\
Rank 0 waits for a message of each other rank. Then all have come, and it lets them
go with a message each. The messages carry nothing.""",
        cost="2*(p-1)*alpha",
        body="""\
# All that one yield names starts together, and has ended when the next line runs.
if rank == 0:
    yield [recv(NOTHING, other) for other in range(1, p)]
    yield [send(NOTHING, other) for other in range(1, p)]
else:
    yield send(NOTHING, 0)
    yield recv(NOTHING, 0)""",
        further="""\
Rank 0 handles 2(p-1) messages, one after the other. In a tree, or if everybody talks to
a rank 1, 2, 4, ... further on, about lg p are enough.""",
    ),
    "bcast": Skeleton(
        words="recv send",
        summary="Linear broadcast: the root sends the vector to one rank after another.",
        explanation="""\
`buf` is the vector on the root, and the place for it on the others. The root sends
p-1 times, everybody else receives once.""",
        cost="(p-1)*(alpha + n*beta)",
        body="""\
# All that one yield names starts together, but a rank has one port to send from.
if rank == root:
    yield [send(buf, other) for other in range(p) if other != root]
else:
    yield recv(buf, root)""",
        further="""\
Those that have the vector could help to spread it (a tree), or pass on its first part
while the next is under way: `for part in split(buf, 8)`.""",
    ),
    "scatter": Skeleton(
        words="copy recv send",
        summary="Linear scatter: the root sends one rank after another its block.",
        explanation="""\
On the root `sendbuf` is a list of p blocks, elsewhere it is None. Block i goes to
the `recvbuf` of rank i; the root copies its own.""",
        cost="(p-1)*(alpha + n/p*beta)",
        body="""\
# All that one yield names starts together, but a rank has one port to send from.
if rank == root:
    yield [send(sendbuf[other], other) for other in range(p) if other != root]
    yield copy(sendbuf[root], recvbuf)
else:
    yield recv(recvbuf, root)""",
        further="""\
The root sends p-1 messages. With half of the blocks in one message,
`send(sendbuf[low:high], other)`, another rank can do half of the work.""",
    ),
    "gather": Skeleton(
        words="copy recv send",
        summary="Linear gather: everyone sends its block to the root.",
        explanation="""\
On the root `recvbuf` is a list of p blocks, elsewhere it is None. The `sendbuf` of
rank i goes to block i; the root copies its own.""",
        cost="(p-1)*(alpha + n/p*beta)",
        body="""\
# All that one yield names starts together, but a rank has one port to receive at.
if rank == root:
    yield [recv(recvbuf[other], other) for other in range(p) if other != root]
    yield copy(sendbuf, recvbuf[root])
else:
    yield send(sendbuf, root)""",
        further="""\
The root receives p-1 messages. A rank that has collected the blocks of some others
could send them in one.""",
    ),
    "allgather": Skeleton(
        words="copy recv send",
        summary="Direct allgather: everyone sends its block to everyone else.",
        explanation="""\
`recvbuf` is a list of p blocks. In round k a rank sends its own block k ranks
further on and receives that of the rank k before it.""",
        cost="(p-1)*(alpha + n/p*beta)",
        body="""\
yield copy(sendbuf, recvbuf[rank])
for k in range(1, p):
    dest, source = (rank + k) % p, (rank - k) % p
    # Messages of one yield are in flight together: nobody waits for a send to end
    # before it receives.
    yield send(recvbuf[rank], dest), recv(recvbuf[source], source)""",
        further="""\
The bytes are the fewest there can be, the messages are not. Whoever passes on all
blocks that it has needs about lg p of them.""",
    ),
    "reduce": Skeleton(
        words="copy recv reduce scratch send",
        summary="Linear reduce: the root adds up one vector after another.",
        explanation="""\
Everybody sends its `sendbuf` to the root, which adds each to its `recvbuf`; on the
other ranks `recvbuf` is None.""",
        cost="(p-1)*(alpha + n*beta + n*gamma)",
        commutative=True,
        body="""\
if rank != root:
    yield send(sendbuf, root)
    return
arriving = scratch(sendbuf)  # not np.empty: the simulator has no memory for it
yield copy(sendbuf, recvbuf)
for other in range(p):
    if other != root:
        # Additions of a yield run when its messages have come.
        yield recv(arriving, other), reduce(arriving, recvbuf)""",
        further="""\
The root receives and adds everything. In a tree the others help. And in rank order it
would take operators that do not commute, too.""",
    ),
    "allreduce": Skeleton(
        words="copy neighbours recv reduce scratch send",
        summary="Whole vectors go round the ring, and everyone adds them all up.",
        explanation="""\
In each of p-1 rounds a rank passes the vector that came last to the right, and adds
the one that comes from the left to its own `recvbuf`.""",
        cost="(p-1)*(alpha + n*beta + n*gamma)",
        commutative=True,
        body="""\
left, right = neighbours(rank, p)
passing, arriving = scratch(sendbuf), scratch(sendbuf)  # in place of np.empty
yield copy(sendbuf, passing), copy(sendbuf, recvbuf)
for _ in range(p - 1):
    # Messages of one yield are in flight together; its additions run when they have
    # come. Plain numpy is not allowed here: a call like this one replays the steps.
    yield send(passing, right), recv(arriving, left), reduce(arriving, recvbuf)
    passing, arriving = arriving, passing""",
        further="""\
Everybody adds up the same. If each rank adds up one block of `split(recvbuf, p)`, and
these go round afterwards, far fewer bytes travel.""",
    ),
    "reduce_scatter": Skeleton(
        words="copy recv reduce scratch send",
        summary="Direct reduce-scatter: everyone sends everyone else the block it needs.",
        explanation="""\
`sendbuf` is a list of p blocks, and rank i wants the sum of all blocks i in its
`recvbuf`. In round k a rank sends the block of the rank k further on, and adds the
one that comes from k before it.""",
        cost="(p-1)*(alpha + n/p*beta + n/p*gamma)",
        commutative=True,
        body="""\
arriving = scratch(recvbuf)  # not np.empty: the simulator has no memory for it
yield copy(sendbuf[rank], recvbuf)
for k in range(1, p):
    dest, source = (rank + k) % p, (rank - k) % p
    yield send(sendbuf[dest], dest), recv(arriving, source)
    yield reduce(arriving, recvbuf)""",
        further="""\
The bytes are the fewest there can be, the messages are not. Partial sums of half of the
blocks, sent half the ranks away, need about lg p of them.""",
    ),
    "alltoall": Skeleton(
        words="copy recv send",
        summary="Direct all-to-all: everyone sends everyone else the block meant for it.",
        explanation="""\
`sendbuf` and `recvbuf` are lists of p blocks: block j of rank i becomes block i of
rank j. In round k a rank serves the rank k further on.""",
        cost="(p-1)*(alpha + n/p*beta)",
        body="""\
yield copy(sendbuf[rank], recvbuf[rank])
for k in range(1, p):
    dest, source = (rank + k) % p, (rank - k) % p
    # Messages of one yield are in flight together: nobody waits for a send to end
    # before it receives.
    yield send(sendbuf[dest], dest), recv(recvbuf[source], source)""",
        further="""\
The bytes are the fewest there can be, the messages are not. Blocks that travel
together, in jumps of 1, 2, 4, ... ranks, need about lg p of them.""",
    ),
    "scan": Skeleton(
        words="copy recv reduce scratch send",
        summary="Chain: everyone adds its vector to the sum of the ranks before it.",
        explanation="""\
Rank r waits for the sum of ranks 0 .. r-1, adds its own vector, which makes its
`recvbuf`, and passes that on. Operands keep rank order.""",
        cost="(p-1)*(alpha + n*beta + n*gamma)",
        body="""\
yield copy(sendbuf, recvbuf)
if rank > 0:
    before = scratch(sendbuf)  # not np.empty: the simulator has no memory for it
    # Additions run when the messages have come: recvbuf = before + recvbuf.
    yield recv(before, rank - 1), reduce(before, recvbuf)
if rank < p - 1:
    yield send(recvbuf, rank + 1)""",
        further="""\
The last rank waits for all others. With one segment of the vector behind the other,
`split(recvbuf, 8)`, it waits less; with sums of 1, 2, 4, ... ranks lg p messages are
enough.""",
    ),
    "exscan": Skeleton(
        words="copy recv reduce scratch send",
        summary="Chain: everyone passes on the sum before it, with its own vector added.",
        explanation="""\
Rank r waits for the sum of ranks 0 .. r-1, which is its `recvbuf`, and passes it on
with its own vector added. Operands keep rank order; rank 0 receives nothing.""",
        cost="(p-1)*(alpha + n*beta) + max(p-2, 0)*n*gamma",
        body="""\
passing = scratch(sendbuf)  # not np.empty: the simulator has no memory for it
yield copy(sendbuf, passing)
if rank > 0:
    yield recv(recvbuf, rank - 1)
if 0 < rank < p - 1:
    yield reduce(recvbuf, passing)  # passing = recvbuf + passing
if rank < p - 1:
    yield send(passing, rank + 1)""",
        further="""\
The last rank waits for all others. With one segment of the vector behind the other,
`split(recvbuf, 8)`, it waits less; with sums of 1, 2, 4, ... ranks about lg p messages
are enough.""",
    ),
}
