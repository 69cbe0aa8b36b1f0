"""Histories: which contributions a value holds, in which order, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from functools import reduce

# What an element holds: runs (block, first, last), each for the contributions of the
# ranks first .. last - 1 to one block, in the order in which they were joined. Blocks
# are counted from that of the first run, so that all elements of a vector that have
# seen the same have the same history.
History = tuple[tuple[int, int, int], ...]
UNWRITTEN: History = ((0, -1, -1),)
UNWRITTEN_MEMORY = "unwritten memory"


def shifted(history: History, blocks: int) -> History:
    return tuple((block + blocks, first, last) for block, first, last in history)


def merged(left: History, right: History) -> History:
    """One history after the other; neighbouring runs become one."""
    (block, first, middle), (other, start, last) = left[-1], right[0]
    if block == other and middle == start:
        return (*left[:-1], (block, first, last), *right[1:])
    return left + right


def in_order(history: History) -> History:
    """The same contributions in rank order."""
    return reduce(merged, [(run,) for run in sorted(history)])


def complaint(history: History, block: int, first: int, last: int, what: str = "block") -> str:
    """What is wrong with a history that should hold first .. last - 1 of one block.

    `what` is the word for a block, where histories are kept for something else.
    """
    held = [r for b, start, stop in history if b == block for r in range(start, stop)]
    count = Counter(held)
    wrong = [f"contribution {r} {_times(count[r])}" for r in sorted(count) if count[r] > 1]
    wrong += [f"{r} missing" for r in range(first, last) if r not in count]
    wrong += [f"{r} does not belong" for r in sorted(count) if not first <= r < last]
    wrong += [UNWRITTEN_MEMORY] if any(start < 0 for _, start, _ in history) else []
    strangers = sorted({b for b, start, _ in history if b != block and start >= 0})
    wrong += [f"parts of {what} {b}" for b in strangers]
    if wrong:
        return f"{{{', '.join(map(str, sorted(held)))}}}: {', '.join(wrong)}"
    return f"{' op '.join(map(str, held))}: not in rank order"


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"
