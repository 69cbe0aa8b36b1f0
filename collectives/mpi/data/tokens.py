"""Tokens: what an operator or a datatype that the user made is known by.

Handles come back with another meaning once they are freed, and so do identities of
Python's objects. A token belongs to one object, and no other one ever gets it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref


class Token:
    """Stands for an operator or a datatype, and does not keep it alive.

    Parameters
    ----------
    thing : MPI.Op, MPI.Datatype or Operator
    forget : callable
        Called when the object is gone.
    """

    __slots__ = ("_handle", "_thing")

    def __init__(self, thing: Any, forget: Callable[[Any], object]):
        self._thing = ref(thing, forget)
        self._handle = _handle_of(thing)

    @property
    def alive(self) -> bool:
        """Whether a call may still come with it: it has neither gone nor been freed."""
        thing = self._thing()
        return thing is not None and _handle_of(thing) == self._handle


def _handle_of(thing: Any) -> int | None:
    """That of MPI; None if it is none of MPI's and can never be freed."""
    return getattr(thing, "handle", None)


_TOKENS: dict[int, Token] = {}  # by the identity of the object


def token_of(thing: Any) -> Token:
    """The token of an operator or a datatype, or of what it is a duplicate of.

    Raises
    ------
    ValueError
        It has been freed.
    """
    token = getattr(thing, "token", None)
    if token is not None:
        return token
    if not thing:
        raise ValueError("freed")
    identity = id(thing)
    token = _TOKENS.get(identity)
    if token is None:
        token = _TOKENS[identity] = Token(thing, lambda _: _TOKENS.pop(identity, None))
    return token
