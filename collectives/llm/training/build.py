"""The layers of a model, cut as a layout says: what is put together here is written elsewhere."""

from __future__ import annotations

from dataclasses import replace

from collectives.llm.training.grid import Grid
from collectives.llm.training.ledger import Ledger
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
    ends = Boundary()
    if grid.layout.sp:
        ends = sp.Ends(grid.comm["tp"], size.sequence)
    first = grid.place["cp"] * (size.sequence // grid.layout.cp)
    names = [f"block {number}" for number in range(size.layers)]
    blocks = [_block(name, size, grid, ledger, balance) for name in names]
    found: list[Layer] = [plain.Embedding(size, first, ends), *blocks, plain.Head(size, ends)]
    for layer in found if grid.place["tp"] else ():  # what all of tp have, its first rank counts
        for group in layer.groups:
            group.tensors = tuple(replace(t, counted=bool(t.part)) for t in group.tensors)
    return found


def _block(name: str, size: Size, grid: Grid, ledger: Ledger, balance: Balance) -> plain.Block:
    comm, layout = grid.comm, grid.layout
    boundary = Boundary()
    if layout.sp:
        boundary = sp.Pieces(comm["tp"], size.sequence)
    elif layout.tp > 1:
        boundary = tp.Slices(comm["tp"])
    attention = Attention(size, tp.mine(size.heads, comm["tp"]), boundary)
    if layout.cp > 1:
        attention = RingAttention(size, comm["cp"], ledger)
    if size.experts:
        exchange = AllToAll(comm["ep"], size.experts, ledger)
        mine = tp.mine(size.experts, comm["ep"])
        experts = Experts(size, f"{name}, experts", mine, exchange, balance)
        return plain.Block(name, attention, experts, experts.group)
    mlp = plain.MLP(size, tp.mine(size.ffn, comm["tp"]), boundary)
    if layout.sp:
        return sp.Block(name, attention, mlp, comm["tp"])
    return plain.Block(name, attention, mlp)


def stage(every: list[Layer], grid: Grid) -> list[Layer]:
    """The layers of this rank: equally many blocks; the ends belong to the first and the last."""
    stages, mine = grid.layout.pp, grid.place["pp"]
    each = (len(every) - 2) // stages
    blocks = every[1:-1][mine * each : (mine + 1) * each]
    return every[:1] * (mine == 0) + blocks + every[-1:] * (mine == stages - 1)
