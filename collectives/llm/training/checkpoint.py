"""Where weights come from and where they go: drawn, restored, and saved.

A model begins, or goes on, in the same way under every strategy: rank 0 has each tensor
whole and broadcasts it, and every rank takes its part. The way back: every rank gives rank 0
what it answers for, with the place of that in the whole. So a checkpoint knows nothing
of ranks, and can be restored under another strategy and on other numbers of them.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from collectives import files
from collectives.errors import ArgumentError
from collectives.llm.training.model.parameters import Group, Tensor
from collectives.llm.training.once import on_rank_0
from collectives.llm.training.trainer import Trainer

# Of a tensor: its weights and both moments, or no moments yet.
Whole = Callable[[Group, Tensor], np.ndarray]


def begin(trainer: Trainer) -> None:
    """First weights. All ranks draw some, each its own: what is not broadcast would show."""
    rng = np.random.default_rng([trainer.job.seed, trainer.world.rank])
    _spread(trainer, lambda group, tensor: tensor.draw(rng)[None], planes=1)


def restore(trainer: Trainer, path: str) -> None:
    """Go on where a checkpoint was saved.

    Raises
    ------
    ArgumentError
        On all ranks, if it cannot be read, is not complete, or is of another model.
    """
    file: Any = None

    def opened() -> int:
        nonlocal file
        file, number = _opened(trainer, path)
        return number

    trainer.number = on_rank_0(trainer.world, opened)
    _spread(trainer, lambda group, tensor: file[_key(group, tensor)], planes=3)


def save(trainer: Trainer, path: str) -> None:
    """Write all weights and moments, on rank 0; an old file stays until the new one is complete.

    Raises
    ------
    ArgumentError
        On all ranks, if it cannot be written.
    """
    named: dict[str, Any] = {"meta": json.dumps(_meta(trainer)), **dict(collected(trainer))}

    def write() -> None:
        content = io.BytesIO()
        np.savez(content, **named)
        files.write(path, content.getvalue(), "train: --save")

    on_rank_0(trainer.world, write)


def collected(trainer: Trainer) -> Iterator[tuple[str, np.ndarray]]:
    """Weights and moments of all tensors, whole, on rank 0; all ranks have to ask."""
    state = trainer.state
    held = {group.name: group for group in state.groups}
    for layer in trainer.every:
        for group in layer.groups:
            pieces = []
            if group.name in held:
                mine = held[group.name]
                values = state.values(mine)
                for tensor, place, here in state.answers(mine):
                    pieces.append((tensor, place, values[:, here]))
            every = [piece for some in trainer.world.gather(pieces) or () for piece in some]
            for tensor in group.tensors if every else ():
                yield _key(group, tensor), _joined(tensor, every, trainer)


def _joined(tensor: Tensor, pieces: list[Any], trainer: Trainer) -> np.ndarray:
    """A whole tensor, from the pieces that ranks have of their parts of it."""
    whole = np.full((3, *tensor.whole), np.nan, trainer.job.recipe.computed)
    parts: dict[str, tuple[Tensor, np.ndarray]] = {}
    for its, place, values in pieces:
        if its.name == tensor.name:
            new = its, np.full((3, its.size), np.nan, values.dtype)
            parts.setdefault(str(its.part), new)[1][:, place] = values
    for its, values in parts.values():
        whole[(slice(None), *its.part)] = values.reshape(3, *its.shape)
    return whole


def _spread(trainer: Trainer, whole: Whole, planes: int) -> None:
    """Rank 0 tells all ranks each tensor, and each takes its part of it."""
    state, world = trainer.state, trainer.world
    dtype = trainer.job.recipe.computed
    held = {group.name: group for group in state.groups}
    for layer in trainer.every:
        for group in layer.groups:
            values = np.empty((planes, group.size), dtype)
            for tensor, place in zip(group.tensors, group.ranges):
                every = np.empty((planes, *tensor.whole), dtype)
                if world.rank == 0 or planes == 1:
                    every[:] = whole(group, tensor)
                world.Bcast(every, root=0)
                part = every[(slice(None), *tensor.part)]
                values[:, place] = part.reshape(planes, -1)
            if group.name in held:
                state.load(held[group.name], values[0], values[1:] if planes > 1 else None)


def _opened(trainer: Trainer, path: str) -> tuple[Any, int]:
    """The file, and after which step it was saved."""
    try:
        file = np.load(path, allow_pickle=False)
        meta = json.loads(str(file["meta"]))
        names = [_key(g, t) for layer in trainer.every for g in layer.groups for t in g.tensors]
        missing = [name for name in names if name not in file.files]
    except FileNotFoundError:
        raise ArgumentError(
            f"train: --restore needs a checkpoint, got {path!r}, which is not there; "
            "name one that --save has written"
        ) from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise ArgumentError(
            f"train: --restore needs a whole checkpoint, got {path!r}, which is none or is half "
            "written; name another one"
        ) from None
    ours = _meta(trainer)
    for key in ours["model"]:
        if meta["model"].get(key) != ours["model"][key]:
            raise ArgumentError(
                f"train: --restore needs a checkpoint of this model, got {path!r} with {key} "
                f"{meta['model'].get(key)!r} in place of {ours['model'][key]!r}; "
                "train with the options with which it was saved"
            )
    if missing:
        raise ArgumentError(
            f"train: --restore needs a whole checkpoint, got {path!r} without {missing[0]!r}; "
            "name another one"
        )
    return file, int(meta["step"])


def _meta(trainer: Trainer) -> dict[str, Any]:
    """What belongs to a model and has to be the same, and how far it has come."""
    return {
        "model": {**asdict(trainer.job.size), "alphabet": trainer.text.alphabet},
        "step": trainer.number,
    }


def _key(group: Group, tensor: Tensor) -> str:
    return f"{group.name}/{tensor.name}"
