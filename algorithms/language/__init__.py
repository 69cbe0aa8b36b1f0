"""The words in which algorithms are written. One import is all that a file needs::

    from collectives.algorithms.language import algorithm, copy, recv, reduce, scratch, send, split

steps      the verbs: send, recv, reduce, copy, and encode and decode
blocks     a vector cut into one block per rank, or into segments
ranks      who talks to whom: rings, trees, hypercubes
memory     scratch space
pipeline   how finely to cut a vector for a pipeline
codecs     vectors as packets of fewer bytes
exchanges  what the ranks of a tree do, for algorithms of several primitives
levels     ranks that form a node, and algorithms among some of the ranks
links      what lies between the ranks, for algorithms that are made for one network
registry   `@algorithm`, and the list of what there is
"""

from .blocks import Blocks, Bundles, even_counts, partition, split, stage
from .codecs import codec_for
from .exchanges import add_pieces, pass_down, pass_up
from .levels import among, members, neighbourhoods, place, side_by_side
from .memory import scratch
from .pipeline import default_segments
from .ranks import (
    Fold,
    Tree,
    binomial_tree,
    bit_reversed,
    ceil_lg,
    digits,
    distances,
    floor_lg,
    fold,
    in_order_tree,
    knomial_tree,
    neighbours,
    powers,
    rows,
    skips,
)
from .registry import PRIMITIVES, algorithm
from .steps import NOTHING, copy, decode, encode, in_rank_order, recv, reduce, send

__all__ = [
    "Blocks",
    "Bundles",
    "Fold",
    "NOTHING",
    "PRIMITIVES",
    "Tree",
    "add_pieces",
    "algorithm",
    "among",
    "binomial_tree",
    "bit_reversed",
    "ceil_lg",
    "codec_for",
    "copy",
    "decode",
    "default_segments",
    "digits",
    "distances",
    "encode",
    "even_counts",
    "floor_lg",
    "fold",
    "in_order_tree",
    "in_rank_order",
    "knomial_tree",
    "members",
    "neighbourhoods",
    "neighbours",
    "partition",
    "pass_down",
    "pass_up",
    "place",
    "powers",
    "recv",
    "reduce",
    "rows",
    "scratch",
    "send",
    "side_by_side",
    "skips",
    "split",
    "stage",
]
