"""What to do about messages that do not meet: in one sentence each."""

from __future__ import annotations

LENGTHS = "cut the vector alike on both ranks: block i of one is block i of the other"
LEFT_OVER = "every send needs one recv on the other side, whatever the values are"


def way_out(chain: list[tuple[int, str, str]], finished: int | None) -> str:
    """What to do about a deadlock.

    Parameters
    ----------
    chain : list of (int, str, str)
        As in `Deadlock.chain`.
    finished : int or None
        The rank that has finished and for which the last one waits, if it does.
    """
    rank, step, _ = chain[-1]
    if finished is not None:
        verb = "send to" if step.startswith("recv") else "recv from"
        return (
            f"let rank {finished} {verb} rank {rank} before it ends, or leave this {step[:4]} out"
        )
    if all(step.startswith("send") for _, step, _ in chain):
        return "start both in one yield, `yield send(...), recv(...)`, or let some ranks recv first"
    if all(step.startswith("recv") for _, step, _ in chain):
        return "somebody has to send first: look at the peers and at the order of the yields"
    for (sender, sends, _), (taker, takes, _) in zip(chain, chain[1:] + chain[:1], strict=True):
        other = int(takes.split()[-1])
        if sends.startswith("send") and takes.startswith("recv") and other != sender:
            return (
                f"rank {sender} sends to rank {taker}, which listens to rank {other}: "
                "look at the peers on both sides"
            )
    return "every send needs a recv of its peer that can begin: look at peers and order"
