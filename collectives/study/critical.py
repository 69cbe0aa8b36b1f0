"""The critical path of a simulated run: the messages for which the last rank waited."""

from __future__ import annotations

from collections.abc import Sequence

from collectives.study.tracer import MessageNote, RoundNote

Rounds = Sequence[Sequence[RoundNote]]


def critical_messages(rounds: Rounds, messages: Sequence[MessageNote]) -> list[MessageNote]:
    """The messages on the chain that ends last, in the order in which they move.

    From the end backwards: a round ends with its local steps, these begin when the last
    message has come in, and a message moves when the ports are free of the one before, or
    as soon as its ranks have come to it.
    """
    moved = [message for message in messages if message.arrived is not None]
    before = {**_before(moved, "target"), **_before(moved, "source")}
    ended = [mine[-1] for mine in rounds if mine and mine[-1].end is not None]
    last = max(ended, key=lambda note: note.end or 0.0, default=None)
    chain: dict[MessageNote, None] = {}  # in the order in which they were added
    while last is not None:
        message, came, began = *_awaited(last), last
        while message is not None and message not in chain:
            chain[message] = None
            message, came, began = _cause(message, came, before)
        last = rounds[began.rank][began.number - 2] if began.number > 1 else None
    return list(chain)[::-1]


def _before(
    messages: Sequence[MessageNote], end: str
) -> dict[tuple[str, MessageNote], MessageNote]:
    """The message that passed the same port before each."""
    found: dict[tuple[str, MessageNote], MessageNote] = {}
    latest: dict[int, MessageNote] = {}

    def passing(message: MessageNote) -> tuple:
        return (message.arrived if end == "target" else message.left), message.left

    for message in sorted(messages, key=passing):
        rank = getattr(message, end).rank
        if rank in latest:
            found[end, message] = latest[rank]
        latest[rank] = message
    return found


def _awaited(note: RoundNote) -> tuple[MessageNote | None, bool]:
    """The message with which the messages of a round ended, and whether it came in."""
    done = note.steps[0].start if note.steps else note.end
    if done != note.start:
        for message in note.recvs:
            if message.arrived == done:
                return message, True
        for message in note.recvs:
            if message.taken == done:
                return message, True
        for message in note.sends:
            if _is_out(message) == done:
                return message, False
    return None, False  # nobody waited


def _cause(
    message: MessageNote, came: bool, before: dict[tuple[str, MessageNote], MessageNote]
) -> tuple[MessageNote | None, bool, RoundNote]:
    """What let a message come in, or go out, when it did.

    It is another message, which came in or went out, or the begin of a round.
    """
    assert message.left is not None
    one, other = before.get(("target", message)), before.get(("source", message))
    busy = one.arrived if one is not None and one.arrived is not None else -1.0
    waited = message.arrived is not None and message.arrived > _is_out(message)
    if came and one is not None and waited and busy + message.cost == message.arrived:
        return one, True, message.source
    out = -1.0 if other is None else _is_out(other)
    met = -1.0 if message.target is None or message.at_once else message.target.start
    if message.source.start < out <= message.left and out >= met:
        assert other is not None
        return other, False, message.source
    if met > message.source.start:  # it waited for its recv
        assert message.target is not None
        return None, False, message.target
    return None, False, message.source


def _is_out(message: MessageNote) -> float:
    """When a message has passed the port out; one that has not left never has."""
    return message.passed
