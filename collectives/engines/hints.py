"""What to do about an error of Python's that an algorithm raised, in one sentence."""

from __future__ import annotations

import builtins
import difflib
import inspect
import re
from collections.abc import Iterable
from types import FrameType

from collectives.algorithms import language

_WORDS = [*language.__all__, *dir(builtins)]
_VERBS = {name: getattr(language, name) for name in ("send", "recv", "reduce", "copy")}


def hint_for(error: BaseException, frame: FrameType | None = None) -> str:
    """How such an error is usually repaired.

    Parameters
    ----------
    error : BaseException
    frame : frame, optional
        In which it was raised: what its variables are called.
    """
    if isinstance(error, UnboundLocalError):
        return f"give {_quoted(error)} a value on every way that leads here"
    if isinstance(error, NameError):
        return _name(_quoted(error), frame)
    if isinstance(error, ImportError):
        return _import(error)
    if isinstance(error, SyntaxError):
        return "correct this line or the one above it"
    if isinstance(error, IndexError):
        return _index(error) or (
            "p blocks are numbered 0 to p - 1, s segments 0 to s - 1: "
            "look at the ends of the loop, or count round with `% p`"
        )
    if isinstance(error, TypeError):
        return _type(str(error))
    if isinstance(error, AttributeError):
        return _attribute(error)
    if isinstance(error, ZeroDivisionError):
        return "think of p = 1 and of empty vectors"
    if isinstance(error, SystemExit):
        return "an algorithm ends by coming to its last line, or by a bare `return`"
    if "read-only" in str(error):
        return "only steps may write: yield `copy(...)` or `reduce(...)`"
    if isinstance(error, ValueError) and "unpack" in str(error):
        return "count what stands on both sides of `=`; `blocks[a:b]` is a list of views"
    return "look at this line, with these numbers"


def _index(error: IndexError) -> str:
    """Which block was asked for, if it was one."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    known = {} if trace is None else trace.tb_frame.f_locals
    blocks, index = known.get("self"), known.get("index")
    if not isinstance(blocks, language.Blocks):
        return ""
    return (
        f"block {index} was asked for, and they are numbered 0 to {len(blocks) - 1}: "
        "look at the ends of the loop, or count round with `%`"
    )


def _quoted(error: BaseException) -> str:
    found = re.search(r"'([^']+)'", str(error))
    return found.group(1) if found else "it"


def _name(name: str, frame: FrameType | None) -> str:
    mine = [] if frame is None else [*frame.f_locals, *frame.f_globals]
    if name in language.__all__:
        return f"write `from collectives.algorithms.language import {name}`"
    if near := _nearest(name, [*mine, *_WORDS]):
        return f"did you mean `{near}`?"
    return f"give {name} a value first, or import it"


def _import(error: ImportError) -> str:
    name = (re.findall(r"name '([^']+)'", str(error)) or [""])[0]
    if near := _nearest(name, _WORDS):
        return f"did you mean `{near}`?"
    return "the words of algorithms are in `collectives.algorithms.language`"


def _type(text: str) -> str:
    called = re.match(r"(\w+)\.__init__\(\)|(\w+)\(\)", text)
    name = (called.group(1) or called.group(2)) if called else ""
    if word := re.search(r"unexpected keyword argument '(\w+)'", text):
        known = inspect.signature(getattr(language, name, _nothing)).parameters
        if near := _nearest(word.group(1), known):
            return f"did you mean `{near}`?"
    if verb := _VERBS.get(name):
        return f"it is called as {name}({', '.join(inspect.signature(verb).parameters)})"
    if "unexpected keyword" in text or "positional argument" in text or "required" in text:
        return "compare the call with the function's `def` line"
    if "generator" in text:
        return "another algorithm runs by `yield from`"
    if "'float' object" in text or "integer" in text:
        return "ranks, blocks and lengths are integers: divide with `//`"
    if "not subscriptable" in text and "NoneType" in text:
        return "a buffer is None on ranks for which it means nothing: see where you use it"
    if "NoneType" in text:
        return "a buffer is None on ranks for which it means nothing, as recvbuf off the root"
    return "look at the types of what stands on this line"


def _nothing() -> None:
    """What has no parameters."""


def _attribute(error: AttributeError) -> str:
    if "NoneType" in str(error):
        return "a buffer is None on ranks for which it means nothing, as sendbuf off the root"
    name = (re.findall(r"attribute '([^']+)'", str(error)) or [""])[0]
    thing = getattr(error, "obj", None)
    if thing is not None and (near := _nearest(name, dir(thing))):
        return f"did you mean `{near}`?"
    return "look at what stands before the dot"


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, [*known], 1, 0.7)
    return near[0] if near else ""
