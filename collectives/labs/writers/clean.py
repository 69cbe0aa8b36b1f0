"""A verdict without characters that would be in the way of who shows it.

An error of a student's may have any text: what moves a terminal's cursor, what XML has no way
to write, half a pair of surrogates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

_IN_THE_WAY = re.compile(
    "[^\t\n\x20-\x7e\xa0-\u2027\u202f-\u2065\u2070-\ud7ff\ue000-\ufefe\uff00-\ufffd"
    "\U00010000-\U0010ffff]"
)


def cleaned(value: Any) -> Any:
    """The same, in all strings of it."""
    if isinstance(value, str):
        return _IN_THE_WAY.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, tuple):
        return tuple(cleaned(each) for each in value)
    if isinstance(value, Mapping):
        return {cleaned(key): cleaned(each) for key, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: cleaned(getattr(value, f.name)) for f in fields(value)})
    return value
