"""The algorithms, one file per primitive, the simplest version first.

In reading order: `steps` has the six verbs, `blocks` and `ranks` the nouns,
then `barrier`, `bcast`, `scatter`, `gather`, `allgather`, `reduce`, `allreduce`,
`reduce_scatter`, `alltoall`, `scan`, `exscan`. Nothing here knows about MPI.

The other files are chapters: each explains one idea, then shows it for every
primitive that it serves. `bruck`, `rabenseifner` and `circulant` are a good start.

An algorithm is called with the rank and the number of ranks, then with the
buffers and the root that `registry.ARGUMENTS` lists for its primitive.
"""

from . import (
    allgather,
    allreduce,
    alltoall,
    barrier,
    barriers,
    bcast,
    binary_blocks,
    bine,
    bruck,
    circulant,
    compressed,
    double_tree,
    dual_root,
    elimination,
    exscan,
    gather,
    hierarchical,
    knomial,
    multiplying,
    pairwise,
    pat,
    pipelined_trees,
    rabenseifner,
    reduce,
    reduce_scatter,
    rings,
    scan,
    scans,
    scatter,
)
from .registry import PRIMITIVES, REGISTRY, Algorithm, algorithm

__all__ = [
    "PRIMITIVES",
    "REGISTRY",
    "Algorithm",
    "algorithm",
    "allgather",
    "allreduce",
    "alltoall",
    "barrier",
    "barriers",
    "bcast",
    "binary_blocks",
    "bine",
    "bruck",
    "circulant",
    "compressed",
    "double_tree",
    "dual_root",
    "elimination",
    "exscan",
    "gather",
    "hierarchical",
    "knomial",
    "pipelined_trees",
    "multiplying",
    "pairwise",
    "pat",
    "rabenseifner",
    "reduce",
    "reduce_scatter",
    "rings",
    "scan",
    "scans",
    "scatter",
]
