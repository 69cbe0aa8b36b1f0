"""Files with algorithms as beginners write them, and what `check` prints about them."""

import textwrap

import pytest

from collectives.__main__ import main
from collectives.algorithms.language.registry import ARGUMENTS

HEAD = """\
import numpy as np
from collectives.algorithms import bcast, reduce as reduction
from collectives.algorithms.language import (
    NOTHING, algorithm, copy, neighbours, partition, recv, reduce, scratch, send, split,
)

"""

DOC = '''\
    """One more.

    Cost: {cost}
    Restrictions: none
    Reference: folklore
    """
'''


def page(primitive, body, options="", extra="", cost="(p-1)*(alpha + n*beta)", doc=DOC):
    """The text of a file whose algorithm has this body."""
    arguments = ", ".join(["rank", "p", *ARGUMENTS[primitive]]) + extra
    head = f'@algorithm("{primitive}"{options})\ndef mine({arguments}):\n'
    return HEAD + head + doc.format(cost=cost) + textwrap.indent(textwrap.dedent(body), "    ")


CHAIN = """
left, right = neighbours(rank, p)
seg = split(buf, segments)
place = (rank - root) % p
for k in range(segments + 1):
    steps = []
    if place > 0 and k < segments:
        steps.append(recv(seg[k], left))
    if place < p - 1 and k > 0:
        steps.append(send(seg[k - 1], right))
    yield steps  # here
"""

HALVING = """
counts = [sendbuf.size(i) for i in range(p)]
total, coming = (partition(scratch(sendbuf.buf), counts) for _ in range(2))
yield copy(sendbuf.buf, total.buf)
first, last, d = 0, p, p // 2
while d:
    middle = (first + last) // 2
    lower, upper = slice(first, middle), slice(middle, last)
    keep, give = (upper, lower) if rank & d else (lower, upper)
    [mine], [theirs], [new] = total[keep], total[give], coming[keep]
    yield send(theirs, rank ^ d), recv(new, rank ^ d), reduce(new, mine)  # here
    first, last, d = keep.start, keep.stop, d // 2
yield copy(total[rank], recvbuf)
"""

ROUND = """
left, right = neighbours(rank, p)
a, b = scratch(sendbuf), scratch(sendbuf)
yield copy(sendbuf, a), copy(sendbuf, recvbuf)
for j in range(p - 1):
    yield send(a, right), recv(b, left), reduce(b, recvbuf)  # here
    a, b = b, a
"""

FLAT = """
if rank == root:
    yield [send(buf, d) for d in range(p) if d != root]
else:
    yield recv(buf, root)
"""


def changed(text, *pairs):
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


def chain(*pairs, **options):
    return page("bcast", changed(CHAIN, *pairs), extra=", *, segments=4", **options)


def halving(*pairs, options=", commutative=True, power_of_two=True"):
    return page("reduce_scatter", changed(HALVING, *pairs), options)


def whole(*pairs, options=", commutative=True"):
    return page("allreduce", changed(ROUND, *pairs), options)


def flat(*pairs):
    return page("bcast", changed(FLAT, *pairs))


def line_of(text, mark):
    """The number of the first line that has a mark."""
    return next(i for i, line in enumerate(text.splitlines(), 1) if mark in line)


class Checker:
    """Writes a file into the current folder, a new one, and checks it."""

    def __init__(self, capsys):
        self.capsys = capsys

    def __call__(self, text, *options, file="mine.py", p=5):
        """The exit status, and all that was printed."""
        with open(file, "w") as out:
            out.write(text)
        status = main(["check", "--load", file, "-p", str(p), *options])
        out, err = self.capsys.readouterr()
        return status, out + err


@pytest.fixture
def checked(registry, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    return Checker(capsys)


def expect(checked, text, *sentences, status=1, **options):
    """Check a file; every sentence must be in what is said, `{here}` being the marked line."""
    found, said = checked(text, **options)
    assert found == status, said
    place = f"mine.py:{line_of(text, '# here')}" if "# here" in text else ""
    for sentence in sentences:
        assert sentence.replace("{here}", place) in said, said
    assert "Traceback" not in said and "0x" not in said
    assert max(map(len, said.splitlines())) < 500
