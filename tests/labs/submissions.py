"""What students hand in: the reference solutions with mistakes that are really made.

Of each lab five are wrong, one cheats, one is a deadlock and one has no end. An entry has the
task in which it shows, the rung that fails, the points of that task without the run over MPI,
and a sentence of the verdict.
"""

from dataclasses import dataclass, replace

from collectives.labs.lab import lab


@dataclass(frozen=True)
class Submission:
    """One file, and what must be said about it."""

    lab: str
    name: str
    task: str
    rung: str
    points: float
    says: str
    text: str

    def __str__(self):
        return f"{self.lab}-{self.name}"

    @property
    def alone(self):
        """The lab with this task only."""
        whole = lab(self.lab)
        tasks = tuple(task for task in whole.tasks if task.function == self.task)
        kept = {key: whole.settings.get(key, ()) for key in ("answers", "training")}
        if self.task != "answers":
            kept["answers"] = ()
        kept["training"] = [x for x in kept["training"] if x["function"] == self.task]
        return replace(whole, tasks=tasks, settings={**whole.settings, **kept})


def solution(key):
    """The text of a reference solution."""
    return (lab(key).solution / "mine.py").read_text(encoding="utf-8")


def edited(key, *pairs):
    """The solution with some of its text replaced, the first time that it stands there."""
    text = solution(key)
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def body(key, task, *lines):
    """The solution with another body of one function, which has no docstring then."""
    text = solution(key)
    start = text.index("\n", text.index(f"def {task}(")) + 1
    stop = min(
        (at for at in (text.find(mark, start) for mark in ("\n@", "\ndef ")) if at > 0),
        default=len(text),
    )
    new = "".join(f"    {line}\n" for line in lines)
    return text[:start] + new + "\n" + text[stop:]


ALL = [
    Submission(*entry)
    for entry in (
        # Lab 1
        (
            "1",
            "received first",
            "in_turn",
            "progress",
            2,
            "It hangs under every MPI",
            edited("1", ("if rank % 2:", "if True:")),
        ),
        (
            "1",
            "own block every time",
            "paired",
            "result",
            10,
            "parts of block",
            edited(
                "1",
                (
                    "yield send(recvbuf[(rank - k) % p], right), recv(",
                    "yield send(recvbuf[rank], right), recv(",
                ),
            ),
        ),
        (
            "1",
            "a round too few",
            "paired",
            "progress",
            2,
            "nobody sends anything",
            body(
                "1",
                "paired",
                "left, right = neighbours(rank, p)",
                "yield copy(sendbuf, recvbuf[rank])",
                "for k in range(p - 2):",
                "    yield send(recvbuf[(rank - k) % p], right), "
                "recv(recvbuf[(rank - k - 1) % p], left)",
            ),
        ),
        (
            "1",
            "still two yields",
            "paired",
            "path",
            20,
            "there are 6 rounds in a row",
            body("1", "paired", "yield from in_turn(rank, p, sendbuf, recvbuf)"),
        ),
        (
            "1",
            "own block forgotten",
            "at_once",
            "result",
            10,
            "never written",
            edited("1", (", copy(sendbuf, recvbuf[rank])]", "]")),
        ),
        (
            "1",
            "cheats with a page",
            "paired",
            "contract",
            0,
            "one of the library's own pages",
            body(
                "1",
                "paired",
                "from collectives.algorithms import allgather",
                "yield from allgather.ring(rank, p, sendbuf, recvbuf)",
            ),
        ),
        (
            "1",
            "deadlock",
            "in_turn",
            "progress",
            17,
            "(eager limit 0): 0 waits for 1 (mine.py:",
            edited("1", ("if rank % 2:", "if False:")),
        ),
        (
            "1",
            "endless",
            "paired",
            "contract",
            0,
            "must end within",
            body("1", "paired", "while True:", "    yield copy(sendbuf, recvbuf[rank])"),
        ),
        # Lab 2
        (
            "2",
            "root is 0",
            "tree",
            "result",
            5,
            "1 missing",
            edited(
                "2",
                (
                    "place = (rank - root) % p\n    distance = 1",
                    "place, root = rank, 0\n    distance = 1",
                ),
            ),
        ),
        (
            "2",
            "all at once",
            "tree",
            "path",
            20,
            "rank 0 sends to ranks 1..3, one after the other through its one port",
            body(
                "2",
                "tree",
                "if rank == root:",
                "    yield [send(buf, other) for other in range(p) if other != root]",
                "else:",
                "    yield recv(buf, root)",
            ),
        ),
        (
            "2",
            "powers of two only",
            "tree",
            "contract",
            0,
            "a peer must be a rank from 0 to 1",
            edited(
                "2",
                (" and place + distance < p", ""),
                ("(place + distance + root) % p", "place + distance + root"),
            ),
        ),
        (
            "2",
            "one segment",
            "chain",
            "time",
            25,
            "Right, but slow: 5.88 ms",
            edited("2", ("segments_for(p, buf.nbytes))", "1)")),
        ),
        (
            "2",
            "last segment lost",
            "chain",
            "progress",
            2,
            "which has finished",
            edited("2", ("range(len(segment) + 1)", "range(len(segment) + (rank == root))")),
        ),
        (
            "2",
            "cheats by name",
            "tree",
            "contract",
            0,
            "imports collectives.algorithms.bcast",
            body(
                "2",
                "tree",
                "page = __import__('collectives.algorithms.bcast', fromlist=['tree'])",
                "yield from page.tree(rank, p, buf, root)",
            ),
        ),
        (
            "2",
            "deadlock",
            "tree",
            "progress",
            2,
            "DEADLOCK in round 1",
            edited(
                "2",
                (
                    "yield recv(buf, (place - distance + root) % p)",
                    "yield recv(buf, (place + distance + root) % p)",
                ),
            ),
        ),
        (
            "2",
            "endless",
            "tree",
            "contract",
            0,
            "does not come to its next yield",
            edited(
                "2",
                ("distance //= 2", "distance //= 1 if p > 5 else 2"),
                (
                    "            yield send(buf, (place + distance + root) % p)",
                    "            yield from ()",
                ),
            ),
        ),
        # Lab 3
        (
            "3",
            "whole vector",
            "ring",
            "path",
            27,
            "Right, but each rank sent 3.00 n; the bound is 1.55 n: you forward the whole vector",
            body(
                "3",
                "ring",
                "left, right = neighbours(rank, p)",
                "passing, arriving = scratch(sendbuf), scratch(sendbuf)",
                "yield copy(sendbuf, passing), copy(sendbuf, recvbuf)",
                "for _ in range(p - 1):",
                "    yield send(passing, right), recv(arriving, left), reduce(arriving, recvbuf)",
                "    passing, arriving = arriving, passing",
            ),
        ),
        (
            "3",
            "running sum",
            "ring",
            "result",
            7,
            "twice",
            body(
                "3",
                "ring",
                "left, right = neighbours(rank, p)",
                "arriving = scratch(sendbuf)",
                "yield copy(sendbuf, recvbuf)",
                "for _ in range(p - 1):",
                "    yield send(recvbuf, right), recv(arriving, left), reduce(arriving, recvbuf)",
            ),
        ),
        (
            "3",
            "numpy between yields",
            "ring",
            "contract",
            0,
            "numpy.add between two yields",
            edited(
                "3",
                (
                    "recv(came, left), reduce(came, mine)\n    for k in range(p - 1):\n"
                    "        yield send(block[(rank - k + 1)",
                    "recv(came, left)\n        mine += came\n    for k in range(p - 1):\n"
                    "        yield send(block[(rank - k + 1)",
                ),
            ),
        ),
        (
            "3",
            "off by one block",
            "halves_sum",
            "contract",
            0,
            "operands of one length",
            edited(
                "3", ("mine = sendbuf[(rank - k - 2) % p]", "mine = sendbuf[(rank - k - 1) % p]")
            ),
        ),
        (
            "3",
            "divides only",
            "halves_spread",
            "result",
            5,
            "breaks a rule",
            body(
                "3",
                "halves_spread",
                "left, right = neighbours(rank, p)",
                "size = sendbuf.size",
                "yield copy(sendbuf, recvbuf[rank])",
                "for k in range(p - 1):",
                "    one, other = (rank - k) % p, (rank - k - 1) % p",
                "    yield send(recvbuf.buf[one * size : (one + 1) * size], right), "
                "recv(recvbuf.buf[other * size : (other + 1) * size], left)",
            ),
        ),
        (
            "3",
            "cheats with the built-in",
            "ring",
            "contract",
            0,
            "imports mpi4py, which has the built-in",
            "from mpi4py import MPI\n" + solution("3"),
        ),
        (
            "3",
            "deadlock",
            "ring",
            "progress",
            45,
            "DEADLOCK in round 2 (eager limit 0)",
            edited(
                "3",
                (
                    "yield send(block[(rank - k) % p], right), recv(came, left), reduce",
                    "yield send(block[(rank - k) % p], right)\n        "
                    "yield recv(came, left), reduce",
                ),
            ),
        ),
        (
            "3",
            "endless",
            "ring",
            "contract",
            0,
            "does not come to its next yield or its end",
            body(
                "3",
                "ring",
                "k = 0",
                "while k < p:",
                "    k -= 1",
                "    k += 1",
                "yield copy(sendbuf, recvbuf)",
            ),
        ),
        # Lab 4
        (
            "4",
            "powers of two",
            "doubling",
            "contract",
            0,
            "declares power_of_two",
            edited(
                "4",
                (
                    '@algorithm("allreduce", commutative=True)',
                    '@algorithm("allreduce", commutative=True, power_of_two=True)',
                ),
            ),
        ),
        (
            "4",
            "left over get nothing",
            "doubling",
            "progress",
            2,
            "which has finished",
            edited(
                "4",
                (
                    "    if player < extra:\n        yield send(recvbuf, rank - 1)\n\n\n"
                    '@algorithm("allreduce", commutative=True)\ndef halving',
                    '\n\n@algorithm("allreduce", commutative=True)\ndef halving',
                ),
            ),
        ),
        (
            "4",
            "a line of ranks",
            "doubling",
            "path",
            20,
            "there are 3 rounds in a row, each to the next rank",
            body(
                "4",
                "doubling",
                "mine, arriving = scratch(recvbuf), scratch(recvbuf)",
                "yield copy(sendbuf, mine)",
                "yield copy(mine, recvbuf)",
                "for step in range(1, p):",
                "    to, source = (rank + step) % p, (rank - step) % p",
                "    yield send(mine, to), recv(arriving, source), reduce(arriving, recvbuf)",
            ),
        ),
        (
            "4",
            "wrong half",
            "halving",
            "result",
            5,
            "missing",
            edited(
                "4",
                (
                    "(low, high) if player < middle else (high, low)",
                    "(high, low) if player < middle else (low, high)",
                ),
                ("first, last = keep.start, keep.stop", "first, last = give.start, give.stop"),
            ),
        ),
        (
            "4",
            "not predicted",
            "doubling",
            "time",
            30,
            "you predicted",
            edited("4", ("(rounds + 2 * fold) * (alpha", "rounds * (alpha")),
        ),
        (
            "4",
            "cheats by patching Python",
            "doubling",
            "contract",
            0,
            "changes builtins.isinstance",
            solution("4") + "\n\nimport builtins\n\nbuiltins.isinstance = lambda *_: True\n",
        ),
        (
            "4",
            "deadlock",
            "doubling",
            "progress",
            32,
            "may run under mpirun",
            edited(
                "4",
                (
                    "yield send(recvbuf, partner), recv(arriving, partner), reduce",
                    "yield send(recvbuf, partner)\n        yield recv(arriving, partner), reduce",
                ),
            ),
        ),
        (
            "4",
            "endless",
            "doubling",
            "contract",
            0,
            "must end within",
            edited(
                "4",
                (
                    "        distance *= 2\n    if player < extra:",
                    "        distance = 1\n    if player < extra:",
                ),
            ),
        ),
        # Lab 5
        (
            "5",
            "all to one",
            "pairwise",
            "path",
            20,
            "ranks 1..3 all send to 0.",
            body(
                "5",
                "pairwise",
                "yield copy(sendbuf[rank], recvbuf[rank])",
                "for k in range(p):",
                "    if k == rank:",
                "        yield [recv(recvbuf[o], o) for o in range(p) if o != rank]",
                "    else:",
                "        yield send(sendbuf[k], k)",
            ),
        ),
        (
            "5",
            "own block forgotten",
            "pairwise",
            "result",
            5,
            "never written",
            edited("5", ("    yield copy(sendbuf[rank], recvbuf[rank])\n", "")),
        ),
        (
            "5",
            "pairwise for Bruck",
            "bruck",
            "path",
            20,
            "messages one after the other",
            body("5", "bruck", "yield from pairwise(rank, p, sendbuf, recvbuf)"),
        ),
        (
            "5",
            "sends nothing all the same",
            "dispatch",
            "path",
            20,
            "sends 0 bytes to rank",
            body("5", "dispatch", "yield from pairwise(rank, p, sendbuf, recvbuf)"),
        ),
        (
            "5",
            "as the batch system had it",
            "answers",
            "ring_order",
            0,
            "24 of 32 messages",
            edited(
                "5",
                ("sorted(range(len(leaf)), key=lambda rank: leaf[rank])", "list(range(len(leaf)))"),
            ),
        ),
        (
            "5",
            "cheats by patching the language",
            "pairwise",
            "contract",
            0,
            "changes send.__init__",
            solution("5") + "\n\nsend.__init__ = lambda self, buf, dest: None\n",
        ),
        (
            "5",
            "deadlock",
            "dispatch",
            "progress",
            2,
            "3 for 1. It hangs under every MPI",
            edited("5", ("        if recvbuf.size(source):\n    ", "    ")),
        ),
        (
            "5",
            "endless",
            "bruck",
            "contract",
            0,
            "does not come to its next yield or its end",
            edited(
                "5",
                ("        moved += step\n        step *= 2", "        step *= 1\n"),
                (
                    "yield send(going, (rank + step) % p), recv(here, (rank - step) % p), "
                    "copy(here, home)",
                    "moved += 1",
                ),
            ),
        ),
        # Lab 6
        (
            "6",
            "gradients not summed",
            "zero1",
            "result",
            2,
            "weights differ",
            edited(
                "6",
                (
                    "            yield from add_up(\n"
                    '                rank, p, split(net["gradients", layer], p), '
                    'net["gradient_shard", layer]\n            )\n',
                    '            net["gradient_shard", layer][:] = '
                    'split(net["gradients", layer], p)[rank]\n',
                ),
            ),
        ),
        (
            "6",
            "gathers once more",
            "zero3",
            "traffic",
            17,
            "traffic 4.00 x",
            edited(
                "6",
                (
                    '            net["shard", layer][:] = net["master", layer]',
                    '            net["shard", layer][:] = net["master", layer]\n'
                    "            yield from gathered(rank, p, net, layer)\n"
                    '            net.drop("weights", layer)',
                ),
            ),
        ),
        (
            "6",
            "keeps layers",
            "zero3",
            "memory",
            17,
            "B are enough: master",
            edited(
                "6",
                (
                    '            net.forward(layer, step)\n            net.drop("weights", layer)',
                    "            net.forward(layer, step)",
                ),
                (
                    "            yield from gathered(rank, p, net, layer)\n"
                    "            yield from summed",
                    "            yield from summed",
                ),
            ),
        ),
        (
            "6",
            "uses what it dropped",
            "zero2",
            "result",
            2,
            "is spoilt",
            edited(
                "6",
                (
                    '            net.drop("gradient_shard", layer)\n            yield from spread(',
                    '            spoilt = net["master", layer]\n'
                    '            net.drop("gradient_shard", layer)\n'
                    "            spoilt[:] = float('nan')\n            yield from spread(",
                ),
            ),
        ),
        (
            "6",
            "moments whole",
            "zero1",
            "contract",
            0,
            "could not be broadcast",
            edited(
                "6",
                (
                    'net.keep("first", layer, mine.size)',
                    'net.keep("first", layer, net.size(layer))',
                ),
            ),
        ),
        (
            "6",
            "cheats by reading",
            "zero1",
            "contract",
            0,
            "opens /",
            body("6", "zero1", f"open({__file__!r}).read()", "yield from ()"),
        ),
        (
            "6",
            "deadlock",
            "zero2",
            "contract",
            0,
            "deadlock: rank 0 waits in",
            body(
                "6",
                "spread",
                "left, right = neighbours(rank, p)",
                "yield copy(sendbuf, recvbuf[rank])",
                "for k in range(p - 1):",
                "    yield send(recvbuf[(rank - k) % p], right)",
                "    yield recv(recvbuf[(rank - k - 1) % p], left)",
            ),
        ),
        (
            "6",
            "endless",
            "zero3",
            "contract",
            0,
            "does not come to its next yield or its end",
            body("6", "zero3", "while True:", "    pass", "yield"),
        ),
        # Lab 7: the first is what a public grader of such a task lets pass
        (
            "7",
            "cheats with Reduce and Bcast",
            "my_allreduce",
            "contract",
            0,
            "imports mpi4py, which has the built-in",
            body(
                "7",
                "my_allreduce",
                "from mpi4py import MPI",
                "comm = MPI.COMM_WORLD",
                "comm.Reduce(sendbuf, recvbuf)",
                "comm.Bcast(recvbuf)",
                "yield from ()",
            ),
        ),
        (
            "7",
            "root hears all",
            "my_allreduce",
            "path",
            22,
            "all send to 0",
            body(
                "7",
                "my_allreduce",
                "yield copy(sendbuf, recvbuf)",
                "if rank == 0:",
                "    arriving = scratch(recvbuf)",
                "    for other in range(1, p):",
                "        yield recv(arriving, other), reduce(arriving, recvbuf)",
                "    for other in range(1, p):",
                "        yield send(recvbuf, other)",
                "else:",
                "    yield send(recvbuf, 0)",
                "    yield recv(recvbuf, 0)",
            ),
        ),
        (
            "7",
            "eight ranks only",
            "my_allreduce",
            "contract",
            0,
            "a peer must be a rank",
            body(
                "7",
                "my_allreduce",
                "arriving = scratch(recvbuf)",
                "yield copy(sendbuf, recvbuf)",
                "for bit in (1, 2, 4):",
                "    other = rank ^ bit",
                "    yield send(recvbuf, other), recv(arriving, other), reduce(arriving, recvbuf)",
            ),
        ),
        (
            "7",
            "changes its input",
            "split_gradient",
            "contract",
            0,
            "read-only",
            edited(
                "7",
                (
                    "recv(arriving, source), reduce(arriving, recvbuf)",
                    "recv(sendbuf[rank], source), reduce(sendbuf[rank], recvbuf)",
                ),
            ),
        ),
        (
            "7",
            "a race",
            "my_alltoall",
            "progress",
            27,
            "may run under mpirun",
            edited(
                "7",
                (
                    "yield send(sendbuf[to], to), recv(recvbuf[source], source)",
                    "yield send(sendbuf[to], to)\n        yield recv(recvbuf[source], source)",
                ),
            ),
        ),
        (
            "7",
            "sends all columns",
            "collect_output",
            "path",
            15,
            "some blocks travel more often",
            edited(
                "7",
                (
                    "        yield send(sendbuf, to), recv(recvbuf[source], source)\n",
                    "        yield send(sendbuf, to), recv(recvbuf[source], source)\n"
                    "        yield send(sendbuf, to), recv(recvbuf[source], source)\n",
                ),
            ),
        ),
        (
            "7",
            "deadlock",
            "my_allreduce",
            "progress",
            2,
            "DEADLOCK",
            edited(
                "7",
                (
                    "            yield send(recvbuf, rank - distance)\n            break\n",
                    "            yield recv(arriving, rank - distance)\n            break\n",
                ),
            ),
        ),
        (
            "7",
            "endless",
            "my_alltoall",
            "contract",
            0,
            "it sleeps or waits",
            body("7", "my_alltoall", "import time", "time.sleep(1000)", "yield from ()"),
        ),
        # Lab 8: the first two are what a public grader of such a task lets pass
        (
            "8",
            "another root",
            "cube_scatter",
            "contract",
            0,
            "smallest case: p = 2",
            edited("8", ("place = rank ^ root", "place, root = rank, 0")),
        ),
        (
            "8",
            "a cube of p - 1 messages",
            "cube_allreduce",
            "path",
            15,
            "there are 3 rounds in a row, each to the next rank",
            body(
                "8",
                "cube_allreduce",
                "mine, arriving = scratch(recvbuf), scratch(recvbuf)",
                "yield copy(sendbuf, mine)",
                "yield copy(mine, recvbuf)",
                "for step in range(1, p):",
                "    yield (",
                "        send(mine, rank ^ step),",
                "        recv(arriving, rank ^ step),",
                "        reduce(arriving, recvbuf),",
                "    )",
            ),
        ),
        (
            "8",
            "all at once",
            "cube_scatter",
            "path",
            20,
            "one after the other through its one port",
            body(
                "8",
                "cube_scatter",
                "if rank == root:",
                "    yield [copy(sendbuf[root], recvbuf), "
                "*[send(sendbuf[i], i) for i in range(p) if i != root]]",
                "else:",
                "    yield recv(recvbuf, root)",
            ),
        ),
        (
            "8",
            "wrong blocks",
            "cube_allgather",
            "contract",
            0,
            "overlapping buffers",
            edited(
                "8",
                (
                    "mine, theirs = rank - rank % distance, partner - partner % distance",
                    "mine = theirs = rank - rank % distance",
                ),
            ),
        ),
        (
            "8",
            "everything twice",
            "cube_alltoall",
            "path",
            20,
            "there are 4 rounds in a row",
            edited(
                "8",
                (
                    "        yield send(going, partner), recv(here, partner), copy(here, home)\n",
                    "        yield send(going, partner), recv(here, partner)\n"
                    "        yield send(going, partner), recv(here, partner), copy(here, home)\n",
                ),
            ),
        ),
        (
            "8",
            "cheats with a verdict of its own",
            "cube_allgather",
            "contract",
            0,
            "writes to the grader by itself",
            solution("8") + "\n\nimport os\n\nfor number in range(3, 20):\n    try:\n"
            "        os.write(number, b'{\"points\": 160}\\n')\n    except OSError:\n        pass\n",
        ),
        (
            "8",
            "deadlock",
            "any_alltoall",
            "progress",
            2,
            "It hangs under every MPI",
            edited(
                "8",
                (
                    "    for r in range(1, p):\n        to, source = (rank + r) % p, (rank - r) % p\n"
                    "        yield send(sendbuf[to], to), recv(recvbuf[source], source)",
                    "    for r in range(1, p):\n        to, source = (rank + r) % p, (rank - r) % p\n"
                    "        yield recv(recvbuf[source], source)\n        yield send(sendbuf[to], to)",
                ),
            ),
        ),
        (
            "8",
            "endless",
            "cube_allreduce",
            "contract",
            0,
            "must end within",
            body(
                "8",
                "cube_allreduce",
                "arriving = scratch(recvbuf)",
                "while True:",
                "    yield copy(sendbuf, recvbuf)",
            ),
        ),
    )
]
