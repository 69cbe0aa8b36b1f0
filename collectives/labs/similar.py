"""Which submissions have the same code: a note for a person to look at, never points.

A right ring always has the same schedule, so code is compared and not what it does: the syntax
tree without names, docstrings and notes. What a lab hands out is taken away first.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from itertools import combinations

from collectives.labs.texts import UNREAD

# Nodes of a piece of code that is compared. Shorter ones are the same in everybody's.
PIECE = 24

# How many pieces of their own two files must have, so that it means something.
ENOUGH = 24


@dataclass(frozen=True)
class Pair:
    """Two submissions that are much alike.

    Attributes
    ----------
    one, other : str
    share : float
        Of the pieces that the shorter one adds to what was handed out, those that are the
        other's, too.
    how : str
    """

    one: str
    other: str
    share: float
    how: str


def pairs(texts: Mapping[str, str], given: str, least: float = 0.8) -> list[Pair]:
    """The pairs that have at least this share in common, the most alike first.

    Parameters
    ----------
    texts : mapping of str to str
        Whose, and the text of the file.
    given : str
        What was handed out.
    least : float
    """
    known = pieces(given)
    own = {name: pieces(text) - known for name, text in texts.items()}
    found = []
    for one, other in combinations(sorted(texts), 2):
        fewer = min(len(own[one]), len(own[other]))
        if fewer < ENOUGH:
            continue
        share = len(own[one] & own[other]) / fewer
        if share >= least:
            found.append(
                Pair(
                    one, other, share, _how(texts[one], texts[other], share, own[one] == own[other])
                )
            )
    return sorted(found, key=lambda pair: (-pair.share, pair.one, pair.other))


def pieces(text: str) -> frozenset[int]:
    """Each run of `PIECE` nodes of the syntax tree, names left out; empty if it is no Python."""
    try:
        tree = ast.parse(text)
        own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        nodes = [*_nodes(tree, own)]
    except UNREAD:
        return frozenset()
    ends = range(PIECE, len(nodes) + 1)
    return frozenset(hash(tuple(nodes[end - PIECE : end])) for end in ends)


def _nodes(node: ast.AST, own: Set[str]) -> Iterator[str]:
    """The tree from the top down: kinds, constants, and what is called that is not one's own."""
    if isinstance(node, (ast.expr_context, ast.Import, ast.ImportFrom)):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring, or a note
    kind = type(node).__name__
    if isinstance(node, ast.Constant):
        kind = repr(node.value)
    elif isinstance(node, ast.Attribute):
        kind = f".{node.attr}"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in own:
        kind = f"{node.func.id}()"
    yield kind
    for child in ast.iter_child_nodes(node):
        yield from _nodes(child, own)


def _how(one: str, other: str, share: float, pieces_alike: bool) -> str:
    if one == other:
        return "the same file"
    try:
        if ast.dump(ast.parse(one)) == ast.dump(ast.parse(other)):
            return "the same code"
    except UNREAD:
        pass
    if pieces_alike:
        return "the same but for names"
    return "one is within the other" if share == 1 else f"{share:.0%} the same"
