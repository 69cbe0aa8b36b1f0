"""Parsers of commands whose words and options may come in any order."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any


class AnyOrder(argparse.ArgumentParser):
    """Reads `predict allreduce -n 1M ring` as `predict allreduce ring -n 1M`.

    argparse gives all words that may be left out to the first place that takes some, which is
    before the options, and then has none for those behind.
    """

    _within = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        """Read the options first, then all the words together."""
        whole = (argparse.REMAINDER, argparse.PARSER)  # takes all that follows, options too
        if self._within or any(place.nargs in whole for place in self._get_positional_actions()):
            return super().parse_known_args(args, namespace)
        self._within = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._within = False
