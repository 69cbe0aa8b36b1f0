"""What `check` says about 49 mistakes that are often made: what is wrong, where, what to do."""

import pytest
from mistaken import DOC, FLAT, HEAD, chain, checked, expect, flat, halving, page, whole

from collectives.engines import endless

__all__ = ["checked"]

STEPS = "send(a, right), recv(b, left), reduce(b, recvbuf)"
SUM = "[mine], [theirs], [new] = total[keep], total[give], coming[keep]"

# A name, the text, and what must be said about it.
MISTAKES = {
    "wrong peer": (
        chain(("recv(seg[k], left)", "recv(seg[k], right)")),
        "deadlock: rank 0 waits in send to 1 ({here}, round 2, k = 1), rank 1 waits in recv",
        "rank 0 sends to rank 1, which listens to rank 2",
    ),
    "block one too far": (
        chain(("seg[k - 1], right))", "seg[k], right))  # there")),
        "rank 0 of 2: an algorithm must come to its end, got IndexError: tuple index out of range",
        ", round 5, k = 4)\n  smallest case: p = 2, n = 0 elements, root 0\n",
        "what to do: block 4 was asked for, and they are numbered 0 to 3",
    ),
    "a round too few": (
        chain(("range(segments + 1)", "range(segments + (rank > 0))")),
        "waits in recv from 0 ({here}, round 4, k = 3), rank 0 has finished",
        "what to do: let rank 0 send to rank 1 before it ends, or leave this recv out",
    ),
    "wrong half": (
        halving(
            ("(upper, lower) if rank & d", "(lower, upper) if rank & d"),
            ("else (lower, upper)", "else (upper, lower)"),
        ),
        "rank 0 of 2: element 0 = {0}: 1 missing, last touched in round 3 (mine.py:",
        "smallest case: p = 2, n = 1 element\n",
        "what to do: look who should have sent these",
    ),
    "wrong block at the end": (
        halving(("copy(total[rank]", "copy(total[rank - 1]")),
        "copy needs source and destination of one length and dtype, got int64[1] and int64[0]",
        "look whose block this is",
    ),
    "no modulo": (
        whole(("neighbours(rank, p)", "rank - 1, rank + 1")),
        "rank 0 of 2: a peer must be a rank from 0 to 1, got -1 ({here}, round 2, j = 0)",
        "count round with `% p`",
    ),
    "operands swapped": (
        page(
            "allreduce",
            """
            coming = scratch(recvbuf)
            yield copy(sendbuf, recvbuf)
            if rank > 0:
                yield recv(coming, rank - 1), reduce(recvbuf, coming, out=recvbuf)
            if rank < p - 1:
                yield send(recvbuf, rank + 1)
                yield recv(recvbuf, rank + 1)
            if rank > 0:
                yield send(recvbuf, rank - 1)
            """,
        ),
        "rank 0 of 2: element 0 = 1 op 0: not in rank order, last touched in round 3",
        "put the operand of the lower ranks first, as `in_rank_order` does, or declare commutative",
    ),
    "all send first": (
        whole((STEPS, "send(a, right)\n    yield recv(b, left), reduce(b, recvbuf)")),
        "deadlock: rank 0 waits in send to 1 (mine.py:20, round 2, j = 0), rank 1 waits in send",
        "start both in one yield, `yield send(...), recv(...)`",
    ),
    "one buffer sent and received": (
        whole((STEPS, "send(a, right), recv(a, left), reduce(a, recvbuf)")),
        "a message must not land where another of its round is read or lands, got overlapping",
        "smallest case: p = 2, n = 1 element\n",
        "receive in scratch(...)",
    ),
    "lengths differ": (
        halving((SUM, SUM + "\n    new = new[:-1]")),
        "reduce needs operands of one length and dtype, got int64[0] and int64[1] and int64[1]",
        "({here}, round 2, d = 1)",
        "cut all of them alike",
    ),
    "a list for a view": (
        halving((SUM, "mine, theirs, new = total[keep], total[give], coming[keep]")),
        "reduce needs a one-dimensional numpy view, got [int64[0]] ({here}, round 2, d = 1)",
        "reduce the views one by one; `[view] = blocks[a:b]`",
    ),
    "numpy between yields": (
        whole(
            (STEPS, "send(a, right), recv(b, left)"),
            ("    a, b = b, a", "    recvbuf += b  # work\n    a, b = b, a"),
        ),
        "rank 0 of 2: all work on data must be steps, got numpy.add between "
        "two yields (mine.py:21, round 3, j = 0)",
        "what to do: a call like this one replays the steps only: yield copy(...) or reduce(...)",
    ),
    "np.empty": (
        halving(("scratch(sendbuf.buf)", "np.empty(sendbuf.buf.size, sendbuf.buf.dtype)")),
        "temporary space must come from scratch(), got int64[1]",
        "write scratch(like) or scratch(like, size), not np.empty",
    ),
    "only powers of two": (
        halving(options=", commutative=True"),
        "rank 2 of 3: a peer must be a rank from 0 to 2, got 3 ({here}, round 2, d = 1)",
        "p = 1, 2, 4 and 8 are right: declare power_of_two=True",
    ),
    "root taken as 0": (
        flat(("rank == root", "rank == 0"), ("d != root", "d != 0"), ("buf, root", "buf, 0")),
        "rank 0 of 2: element 0 = {}: 1 missing, never written",
        "smallest case: p = 2, n = 1 element, root 1\n",
        "root 0 is right, root 1 is not: take 1 for 0, and count ranks from it, (rank - root) % p",
    ),
    "return for yield": (
        flat(("    yield [send", "    return [send"), ("    yield recv", "    return recv")),
        "mine.py:7: bcast.mine: an algorithm must be a generator, got a function without a yield",
        "write `yield` where it has `return`",
    ),
    "return in one branch": (
        flat(("    yield [send", "    return [send")),
        "rank 0 has finished",
        "what `return` gives is lost (mine.py:17): write `yield [send(buf, d) for d in range(p)",
    ),
    "lists in a list": (
        flat(("yield [send(buf, d)", "yield [[send(buf, d)]")),
        "yield a step, or several in a tuple or a list, got [send of 0 elements to 1]",
        "join the lists, `yield [*first, *second]`",
    ),
    "a generator expression": (
        flat(("[send(buf, d)", "(send(buf, d)"), ("!= root]", "!= root)")),
        "yield a step, or several in a tuple or a list, got a generator, <genexpr>",
        "write square brackets instead of round ones",
    ),
    "no docstring": (
        chain(doc=""),
        "bcast.mine: a docstring is needed, got none\n  its answers are right in",
        "what to do: say in its first line what the algorithm is",
    ),
    "wrong cost line": (
        chain(),
        "the cost line must give 3 messages as the factor of alpha, got 1 (p = 2, n = 192 bytes",
        "counted on the critical path for p = 2, 3, 4, 5: 3, 4, 5, 6",
    ),
    "a cost line in O": (
        chain(cost="O(p log n)"),
        "needs a line `Cost:` in its docstring that can be computed, got 'O(p log n)'",
        "write arithmetic in p, n, alpha, beta and gamma, like 2*(p-1)*(alpha + n/p*beta)",
    ),
    "endless with yields": (
        chain(("for k in range(segments + 1):", "k = 0\nwhile k <= segments:")),
        "rank 0 of 1: must end within 3004 rounds, got no end ({here}, round 3005, k = 0",
        "look for a loop that goes on for ever",
    ),
    "endless without": (
        chain(("    yield steps", "    while k >= 0:\n        steps = steps[:]\n    yield steps")),
        "rank 0 of 1: must come to its next yield or its end, got neither for a long time",
        "look for a loop that goes on for ever",
    ),
    "a step twice": (
        chain(("yield steps", "yield steps + steps")),
        "rank 1 of 2: a message must not land where another of its round is read or lands",
        "({here}, round 1, k = 0)",
    ),
    "every round twice": (
        chain(
            ("    yield steps", "    yield steps\n    yield steps"),
            cost="(p-2+segments)*(alpha + n/segments*beta)*(p>1)",
        ),
        "the cost line must give 6 messages as the factor of alpha, got 3 (p = 2",
        "counted on the critical path for p = 2, 3, 4, 5: 6, 8, 10, 12",
    ),
    "an option misspelled": (
        whole(options=", comutative=True"),
        "mine.py:7: a file that can be run is needed, got TypeError: algorithm() got an unexpected "
        "keyword argument 'comutative'",
        "did you mean `commutative`?",
    ),
    "a keyword misspelled": (
        halving(("reduce(new, mine)", "reduce(new, mine, output=mine)")),
        "got TypeError: reduce.__init__() got an unexpected keyword argument 'output' ({here}, "
        "round 2, d = 1)",
        "it is called as reduce(inbuf, inoutbuf, out)",
    ),
    "no primitive": (
        chain().replace('@algorithm("bcast"', '@algorithm("broadcast"'),
        "mine.py:7: a primitive is needed, got 'broadcast'; choose from bcast, barrier",
    ),
    "other arguments": (
        chain().replace("rank, p, buf", "rank, size, buf"),
        "mine.py:7: bcast.mine: needs the arguments rank, p, buf, root (and groups or links if it "
        "needs them), got rank, size, buf, root; write `def mine(rank, p, buf, root)`",
    ),
    "no yield": (
        chain(("    yield steps  # here", "    steps  # here\nyield []")),
        "rank 1 of 2: element 0 = {}: 0 missing, never written",
        "this line does nothing ({here}): write `yield steps`",
    ),
    "no yield from": (
        page(
            "allreduce",
            """
            reduction.tree(rank, p, sendbuf, recvbuf if rank == 0 else None, 0)  # here
            yield from bcast.tree(rank, p, recvbuf, 0)
            """,
        ),
        "rank 0 of 1: block 0 = {}: 0 missing, never written",
        "reduction.tree(...) does nothing by itself ({here}): write `yield from reduction.tree",
    ),
    "yield for yield from": (
        page(
            "allreduce",
            """
            yield reduction.tree(rank, p, sendbuf, recvbuf if rank == 0 else None, 0)  # here
            yield from bcast.tree(rank, p, recvbuf, 0)
            """,
        ),
        "rank 0 of 1: yield a step, or several in a tuple or a list, got a generator, tree ({here}",
        "run another algorithm with `yield from tree(...)`",
    ),
    "sendbuf changed": (
        halving(
            (
                "total, coming = (partition(scratch(sendbuf.buf), counts) for _ in range(2))",
                "total, coming = sendbuf, partition(scratch(sendbuf.buf), counts)",
            ),
            ("yield copy(sendbuf.buf, total.buf)\n", ""),
        ),
        "rank 0 of 2: reduce needs writable memory, got int64[1], read-only ({here}, "
        "round 1, d = 1)",
        "sendbuf must stay as it is: copy it to scratch(sendbuf)",
    ),
    "p = 1 forgotten": (
        page(
            "allreduce",
            """
            left, right = neighbours(rank, p)
            yield send(sendbuf, right), recv(recvbuf, left), reduce(sendbuf, recvbuf)  # here
            """,
            ", commutative=True",
        ),
        "rank 0 of 1: a message needs another rank as its peer, got send of 0 elements to 0 "
        "({here}",
        "with p = 1 there is nobody else",
    ),
    "a bracket left open": (
        chain(("split(buf, segments)", "split(buf, segments")),
        "a file that can be run is needed, got SyntaxError: '(' was never closed; correct this",
        "mine.py:17: ",
    ),
    "a name that is taken": (
        page("bcast", FLAT).replace("def mine", "def tree"),
        "mine.py:7: bcast.tree exists already; choose another name",
    ),
    "a name misspelled": (
        chain(("split(", "spilt(")),
        "got NameError: name 'spilt' is not defined (mine.py:17, round 1)",
        "did you mean `split`?",
    ),
    "depends on values": (
        flat(("if rank == root:", "if rank == root and not (buf.size and buf[0] < 0):")),
        "what is yielded must depend on ranks and lengths, never on values, got a "
        "read of element 0",
        "the same steps are replayed with other data: decide by rank, p, root and sizes",
    ),
    "not in place": (
        page(
            "allreduce",
            """
            coming = scratch(recvbuf)
            yield copy(sendbuf, recvbuf)
            for k in range(1, p):
                yield (
                    send(sendbuf, (rank + k) % p), recv(coming, (rank - k) % p),
                    reduce(coming, recvbuf),
                )
            """,
            ", commutative=True",
        ),
        "rank 0 of 3: element 0 = {0, 0, 1, 2}: contribution 0 twice, last touched in round 3",
        "smallest case: p = 3, n = 1 element, input and output in one memory (MPI.IN_PLACE)",
        "under MPI.IN_PLACE sendbuf is recvbuf, or its block",
    ),
    "commutative forgotten": (
        whole(options=""),
        "rank 0 of 2: element 0 = 1 op 0: not in rank order, last touched in round 2 ({here})",
        "or declare commutative=True",
    ),
    "a parameter without default": (
        chain().replace("segments=4", "segments"),
        "mine.py:7: bcast.mine: parameter segments needs a default; write `segments=1`",
    ),
    "one block too many": (
        chain(("k < segments", "k <= segments")),
        "rank 1 of 2: an algorithm must come to its end, got IndexError: tuple index out of range",
        "block 4 was asked for, and they are numbered 0 to 3",
    ),
    "the last sends on": (
        chain(("place < p - 1 and ", "")),
        "rank 0 of 1: a message needs another rank as its peer, got send of 0 elements to 0",
    ),
    "scratch never filled": (
        page("bcast", "double = scratch(buf)\nyield copy(double, buf)  # here\n"),
        "rank 0 of 1: block 0 = {}: 0 missing, unwritten memory, last touched in round 1 ({here})",
        "something was read before it was written",
    ),
    "a tuple for a list": (
        chain(("send(seg[k - 1], right)", "send((seg[k - 1],), right)")),
        "send needs a one-dimensional numpy view or a list of them, got (int64[0],) ({here}",
        "several views go in a list, [one, other]",
    ),
    "arguments swapped": (
        chain(("send(seg[k - 1], right)", "send(right, seg[k - 1])")),
        "rank 0 of 2: a peer must be a rank from 0 to 1, got int64[0] ({here}, round 2, k = 1)",
        "the buffer comes first, then the rank: send(buf, dest), recv(buf, source)",
    ),
    "sends its own sum": (
        whole((STEPS, "send(recvbuf, right), recv(b, left), reduce(b, recvbuf)")),
        "rank 0 of 3: element 0 = {0, 1, 2, 2}: contribution 2 twice, last touched in round 3 "
        "({here})\n  smallest case: p = 3, n = 1 element\n",
        "send on what came from others, not a sum",
    ),
    "local steps before messages": (
        whole(
            (f"yield {STEPS}", f"yield copy(sendbuf, a), copy(sendbuf, recvbuf), {STEPS}"),
            ("a), copy(sendbuf, recvbuf)\nfor", "recvbuf)\nfor"),
        ),
        "rank 0 of 2: element 0 = {0}: 1 missing, unwritten memory, last touched in round 2 "
        "({here})",
        "the reduces and copies of a yield run after its messages",
    ),
}


# Those that are found before anything runs.
NOT_LOADED = {
    "return for yield",
    "an option misspelled",
    "no primitive",
    "other arguments",
    "a bracket left open",
    "a name that is taken",
    "a parameter without default",
}


def test_that_all_are_here():
    assert len(MISTAKES) == 49


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name, checked, monkeypatch):
    monkeypatch.setattr(endless, "SOON", 0.5)
    monkeypatch.setattr(endless, "MOST", 3000)
    expect(checked, *MISTAKES[name], status=2 if name in NOT_LOADED else 1)


@pytest.mark.parametrize("text", ["", "x = 1\n", HEAD, HEAD + "def mine(rank, p):\n" + DOC])
def test_a_file_without_an_algorithm(text, checked):
    said = "mine.py: a file with an algorithm is needed, got none; write `@algorithm("
    expect(checked, text, said, status=2)
