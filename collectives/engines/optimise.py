"""What a plan need not do: copies that need not happen, and detours through scratch memory.

An algorithm's page says what the textbook says: copy the input to the output, then
exchange and add. Much of that is there for the reader. A recorded plan shows all that will
ever happen to the memory of a rank, so that here can be decided what has to::

    page                                        plan
    copy      sendbuf -> recvbuf
    send      block 0 of recvbuf                send      block 0 of sendbuf
    recv      scratch                           recv      block 1 of recvbuf
    reduce    scratch + block 1 of recvbuf      reduce    block 1 of recvbuf + of sendbuf
              -> block 1 of recvbuf                       -> block 1 of recvbuf

Forward through the plan, whoever reads what a copy has written reads the copy's source
instead, as long as neither has been written since (`propagation`). Backward, what nobody
reads any more need not be copied (`clearing`). Then what only a copy reads is made where
the copy would bring it, and a message lands where the sum that is made of it will lie, if
nothing else is there in the meantime (`shortcuts`).

Messages stay what they are, and so do the reductions, their number and the order of their
operands. No memory is written that the page does not write, and a round that has nothing
left to do stays where it was, so that the others keep their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy as duplicate

import numpy as np

from collectives.algorithms.language.steps import copy
from collectives.engines.clearing import Clearing, Last
from collectives.engines.driver import Round
from collectives.engines.places import Places, UnknownMemory
from collectives.engines.plan import Plan
from collectives.engines.propagation import Propagation
from collectives.engines.shortcuts import Landing, Redirection, Waiting
from collectives.operators.operator import Operator


def optimise(plan: Plan, given: Sequence[np.ndarray], operator: Operator) -> Plan:
    """A plan that leaves the same in the buffers of a call, with less work.

    Parameters
    ----------
    plan : Plan
        Of real memory: there is nothing to save on phantoms. It stays as it is, and so
        does the result if the plan has views of memory that is neither given nor its own.
    given : sequence of numpy.ndarray
        The buffers of the call: what lies in them in the end counts. All other memory is
        scratch, and nobody looks at it afterwards.
    operator : Operator
        What `reduce` does.
    """
    try:
        return optimise_at(plan, Places(given), operator)
    except UnknownMemory:
        return plan


def optimise_at(plan: Plan, places: Places, operator: Operator) -> Plan:
    """The same for a plan of which the memory is known.

    Raises
    ------
    UnknownMemory
    """
    rounds = plan.rounds
    if not any(round_.local for round_ in rounds):
        return plan
    if _moves_scratch(places, rounds):
        rounds, _ = _cleared(places, [_fresh(round_) for round_ in rounds])
    rounds, last = _cleared(places, Propagation(places, operator).rounds(rounds))
    Landing(places, operator, last).take(rounds)
    Waiting(places).take(rounds)
    return Plan(plan.title, rounds, plan.lines, plan.numbers)


def _moves_scratch(places: Places, rounds: list[Round]) -> bool:
    """Whether anything is copied that has been made on the way.

    Only this can be made where the copy would bring it, and it has to be looked at before
    propagation: whoever reads from a copy's source needs what is made there.
    """
    for round_ in rounds:
        for step in round_.local:
            for view in step.read if isinstance(step, copy) else ():
                place = places.of(view)
                if place is not None and place.buffer >= len(places.given):
                    return True
    return False


def _fresh(round_: Round) -> Round:
    """The same round with steps that may be changed."""
    return Round(round_.sends, round_.recvs, [duplicate(step) for step in round_.local])


def _cleared(places: Places, rounds: list[Round]) -> tuple[list[Round], Last]:
    """The rounds without copies that are not needed; and what is read for the last time where."""
    clearing = Clearing(places)
    rounds = clearing.rounds(rounds)
    Redirection(places, rounds, clearing.last).take()
    return rounds, clearing.last
