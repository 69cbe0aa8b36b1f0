"""One idea a file, shown for every primitive that it serves."""

from . import (
    barriers,
    binary_blocks,
    bine,
    bruck,
    circulant,
    compressed,
    double_tree,
    dual_root,
    elimination,
    hierarchical,
    knomial,
    multiplying,
    pairwise,
    pat,
    pipelined_trees,
    rabenseifner,
    radix,
    rings,
    scans,
    torus,
)
