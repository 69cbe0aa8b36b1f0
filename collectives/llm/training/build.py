"""The layers of a model, cut as a layout says: what is put together here is written elsewhere."""

from __future__ import annotations

from dataclasses import replace

from collectives.llm.training.grid import Grid
from collectives.llm.training.ledger import Ledger, shard
from collectives.llm.training.model import layers as plain
from collectives.llm.training.model.layers import Attention, Boundary, Layer, Size
from collectives.llm.training.model.moe import Balance, Experts
from collectives.llm.training.parallel import sp, tp
from collectives.llm.training.parallel.cp import RingAttention
from collectives.llm.training.parallel.ddp import DDP
from collectives.llm.training.parallel.ep import AllToAll
from collectives.llm.training.parallel.zero1 import ZeRO1
from collectives.llm.training.parallel.zero2 import ZeRO2
from collectives.llm.training.parallel.zero3 import ZeRO3

STATES = (DDP, ZeRO1, ZeRO2, ZeRO3)  # by the stage of ZeRO


def build(size: Size, grid: Grid, ledger: Ledger, balance: Balance) -> list[Layer]:
    """All layers, as this rank would have them; those of its stage are `stage`'s."""
    layout, place, boundary = grid.layout, grid.place, _boundary(size, grid)
    words = shard(size.vocab, layout.tp, place["tp"])
    first = place["cp"] * (size.sequence // layout.cp)
    names = [f"block {number}" for number in range(size.layers)]
    found: list[Layer] = [
        plain.Embedding(size, first, words, boundary),
        *(_block(name, size, grid, ledger, balance) for name in names),
        _head(size, grid, words, boundary),
    ]
    for layer in found if place["tp"] else ():  # what all of tp have, its first rank counts
        for group in layer.groups:
            group.tensors = tuple(replace(t, counted=bool(t.part)) for t in group.tensors)
    return found


def _boundary(size: Size, grid: Grid) -> Boundary:
    """Where the slices of tp begin and end."""
    if grid.layout.sp:
        return sp.Pieces(grid.comm["tp"], size.sequence)
    return tp.Slices(grid.comm["tp"]) if grid.layout.tp > 1 else Boundary()


def _head(size: Size, grid: Grid, words: slice, boundary: Boundary) -> plain.Head:
    if grid.layout.tp == 1:
        return plain.Head(size)
    kind = sp.Head if grid.layout.sp else tp.Head
    return kind(size, words, boundary, grid.comm["tp"])


def _block(name: str, size: Size, grid: Grid, ledger: Ledger, balance: Balance) -> plain.Block:
    comm, layout, place, boundary = grid.comm, grid.layout, grid.place, _boundary(size, grid)
    attention = Attention(size, shard(size.heads, layout.tp, place["tp"]), boundary)
    if layout.cp > 1:
        attention = RingAttention(size, comm["cp"], ledger)
    if size.experts:
        exchange = AllToAll(comm["ep"], size.experts, ledger)
        mine = shard(size.experts, layout.ep, place["ep"])
        experts = Experts(size, f"{name}, experts", mine, exchange, balance)
        return plain.Block(name, attention, experts, experts.group)
    mlp = plain.MLP(size, shard(size.ffn, layout.tp, place["tp"]), boundary)
    if layout.sp:
        return sp.Block(name, attention, mlp, comm["tp"])
    return plain.Block(name, attention, mlp)


def stage(every: list[Layer], grid: Grid) -> list[Layer]:
    """The layers of this rank: equally many blocks; the ends belong to the first and the last."""
    stages, mine = grid.layout.pp, grid.place["pp"]
    each = (len(every) - 2) // stages
    blocks = every[1:-1][mine * each : (mine + 1) * each]
    return every[:1] * (mine == 0) + blocks + every[-1:] * (mine == stages - 1)
