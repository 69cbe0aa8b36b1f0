"""The algorithms, one file per primitive, the simplest version first.

In reading order: `language/steps` has the six verbs, `language/blocks` and
`language/ranks` the nouns, then come `barrier`, `bcast`, `scatter`, `gather`,
`allgather`, `reduce`, `allreduce`, `reduce_scatter`, `alltoall`, `scan`, `exscan`.
Nothing here knows about MPI.

Each file in `chapters/` explains one idea, then shows it for every primitive that it
serves. `bruck`, `rabenseifner` and `circulant` are a good start.

Every primitive has the family `naive`, `ring`, `recursive_doubling` and `tree`. These names
say how data move, not what the literature or a library calls the algorithm:
`recursive_doubling` stands for partners at distances 1, 2, 4, ..., or the same backwards, and
about lg p messages one after the other. Where that is something else elsewhere, the docstring
says so.

An algorithm is called with the rank and the number of ranks, then with the
buffers and the root that `language.registry.ARGUMENTS` lists for its primitive.
"""

# Every import registers algorithms; the primitives come first, the simplest versions before all.
from . import (
    allgather,
    allreduce,
    alltoall,
    barrier,
    bcast,
    exscan,
    gather,
    reduce,
    reduce_scatter,
    scan,
    scatter,
)

from . import chapters  # isort: skip
from .language.registry import PRIMITIVES, REGISTRY, Algorithm, algorithm

__all__ = [
    "PRIMITIVES",
    "REGISTRY",
    "Algorithm",
    "algorithm",
    "allgather",
    "allreduce",
    "alltoall",
    "barrier",
    "bcast",
    "chapters",
    "exscan",
    "gather",
    "reduce",
    "reduce_scatter",
    "scan",
    "scatter",
]
