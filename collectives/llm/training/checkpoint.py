"""Where weights come from and where they go: drawn, restored, and saved.

A model begins in the same way under every strategy: rank 0 has each tensor whole and broadcasts
it, and every rank takes its part.

A checkpoint is a folder with a file for each rank. In a file is what its rank answers for, with
the place of that in the whole; so no rank has to have more than its share, and all write at the
same time. A rank that restores looks in all files for what it needs: so that may be under another
strategy and on another number of ranks.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from collectives import files
from collectives.errors import ArgumentError
from collectives.llm.training.model.parameters import Group, Tensor
from collectives.llm.training.once import on_every_rank, on_rank_0
from collectives.llm.training.state import State
from collectives.llm.training.trainer import Trainer

SAVE = "train: --save"
OURS = re.compile(r"\d+\.npz")  # the file of a rank

# What reading a file raises that is not a whole one of ours.
BROKEN = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)


class Piece(NamedTuple):
    """What one rank answers for of a tensor.

    Attributes
    ----------
    name : str
        Of the group, and of the tensor in it.
    part : tuple of (int, int)
        The part of the tensor that the rank's layers have: where it begins and ends on each axis.
    place : (int, int)
        Where in this part, as a vector, the piece begins and ends.
    values : numpy.ndarray
        Weights and both moments, of shape (3, length).
    """

    name: str
    part: tuple[tuple[int, int], ...]
    place: tuple[int, int]
    values: np.ndarray


def begin(trainer: Trainer) -> None:
    """First weights. All ranks draw some, each its own: what is not broadcast would show."""
    rng = np.random.default_rng([trainer.job.seed, trainer.world.rank])

    def drawn(group: Group, tensor: Tensor) -> np.ndarray:
        whole = tensor.draw(rng)[None].astype(trainer.job.recipe.computed)
        trainer.world.Bcast(whole, root=0)
        return whole

    _load(trainer, trainer.every, drawn)


def restore(trainer: Trainer, path: str) -> None:
    """Go on where a checkpoint was saved.

    Raises
    ------
    ArgumentError
        On all ranks, if it cannot be read, is not complete, or is of another model.
    """
    trainer.number = on_every_rank(trainer.world, lambda: _restored(trainer, path))


def save(trainer: Trainer, path: str) -> None:
    """Write all weights and moments; an old checkpoint stays until the new one is complete.

    Raises
    ------
    ArgumentError
        On all ranks, if one of them cannot write.
    """
    world = trainer.world
    new = on_rank_0(world, lambda: _made(path))
    try:
        on_every_rank(world, lambda: _write(trainer, Path(new, f"{world.rank}.npz")))
        on_rank_0(world, lambda: _replace(new, path))
    finally:
        if world.rank == 0:
            shutil.rmtree(new, ignore_errors=True)


def check_target(path: str) -> None:
    """Raise ArgumentError unless a checkpoint can be saved there, as far as one can see."""
    files.check_target(_beside(path), SAVE)
    there = os.path.exists(path)
    if there and not (os.path.isdir(path) and all(map(OURS.fullmatch, os.listdir(path)))):
        raise ArgumentError(
            f"{SAVE}: a new folder, or that of a checkpoint, is needed, got {path!r}, which is "
            "something else; name another"
        )


def collected(trainer: Trainer) -> Iterator[tuple[str, np.ndarray]]:
    """Weights and moments of all tensors, whole, on rank 0; all ranks have to ask."""
    state = trainer.state
    held = {group.name: group for group in state.groups}
    for layer in trainer.every:
        for group in layer.groups:
            mine = [*_pieces(state, held[group.name])] if group.name in held else []
            every = [piece for some in trainer.world.gather(mine) or () for piece in some]
            for tensor in group.tensors if every else ():
                name = _name(group, tensor)
                yield name, _joined(tensor, [each for each in every if each.name == name])


def _pieces(state: State, group: Group) -> Iterator[Piece]:
    """What this rank answers for of a group."""
    values = state.values(group)
    for tensor, place, here in state.answers(group):
        part = tuple(slice(*s.indices(n)[:2]) for s, n in zip(tensor.part, tensor.whole))
        bounds = tuple((each.start, each.stop) for each in part)
        yield Piece(_name(group, tensor), bounds, (place.start, place.stop), values[:, here])


def _joined(tensor: Tensor, pieces: Sequence[Piece]) -> np.ndarray:
    """A whole tensor from the pieces of all ranks: weights and both moments."""
    whole = np.full((3, *tensor.whole), np.nan, pieces[0].values.dtype)
    vectors: dict[tuple[tuple[int, int], ...], np.ndarray] = {}
    for piece in pieces:
        size = whole[_region(piece.part)].size // 3
        vector = vectors.setdefault(piece.part, np.full((3, size), np.nan, whole.dtype))
        vector[:, slice(*piece.place)] = piece.values
    for part, vector in vectors.items():
        here = whole[_region(part)]
        here[...] = vector.reshape(here.shape)
    return whole


def _region(part: tuple[tuple[int, int], ...]) -> tuple[slice, ...]:
    """Where a part is in the weights and both moments of a whole tensor."""
    return (slice(None), *(slice(*bounds) for bounds in part))


def _load(
    trainer: Trainer, layers: Iterable[Any], whole: Callable[[Group, Tensor], np.ndarray]
) -> None:
    """Give the state its part of each tensor: weights, with or without both moments."""
    state = trainer.state
    held = {group.name: group for group in state.groups}
    for layer in layers:
        for group in layer.groups:
            parts = []
            for tensor in group.tensors:
                every = whole(group, tensor)
                parts.append(every[(slice(None), *tensor.part)].reshape(len(every), -1))
            if group.name in held:
                values = np.concatenate(parts, axis=1)
                state.load(held[group.name], values[0], values[1:] if len(values) > 1 else None)


def _made(path: str) -> str:
    """A new folder beside the one to be written."""
    check_target(path)
    try:
        os.mkdir(_beside(path))
    except OSError as error:
        raise _cannot(path, error) from None
    return _beside(path)


def _beside(path: str) -> str:
    return f"{os.path.normpath(path)}.{os.getpid()}.part"


def _write(trainer: Trainer, path: Path) -> None:
    """This rank's file."""
    mine = [piece for group in trainer.state.groups for piece in _pieces(trainer.state, group)]
    meta = {**_meta(trainer), "pieces": [piece[:3] for piece in mine]}
    arrays = {str(number): piece.values for number, piece in enumerate(mine)}
    content = io.BytesIO()
    np.savez(content, meta=np.array(json.dumps(meta)), **arrays)  # type: ignore[arg-type]
    files.write(str(path), content.getvalue(), SAVE)


def _replace(new: str, path: str) -> None:
    """Let a complete checkpoint take the place of an old one."""
    try:
        if os.path.isdir(path):
            os.rename(path, f"{new}.old")
        os.rename(new, path)
    except OSError as error:
        raise _cannot(path, error) from None
    shutil.rmtree(f"{new}.old", ignore_errors=True)


def _cannot(path: str, error: OSError) -> ArgumentError:
    return ArgumentError(
        f"{SAVE}: a folder that can be written is needed, got {path!r} ({error.strerror}); "
        "name another"
    )


class _File:
    """The file of a rank."""

    def __init__(self, path: Path):
        self.arrays = np.load(path, allow_pickle=False)
        self.meta = json.loads(str(self.arrays["meta"]))

    def pieces(self, name: str) -> Iterator[Piece]:
        """Those of a tensor."""
        for number, (its, part, place) in enumerate(self.meta["pieces"]):
            if its == name:
                yield Piece(its, tuple(map(tuple, part)), tuple(place), self.arrays[str(number)])


def _restored(trainer: Trainer, path: str) -> int:
    """Read what this rank needs; returns after which step it was saved."""
    with _readable(path):
        first = _File(Path(path, "0.npz"))
        every = [first, *(_File(Path(path, f"{n}.npz")) for n in range(1, first.meta["ranks"]))]
        saved, step = first.meta["model"], int(first.meta["step"])
    _same_model(path, saved, _meta(trainer)["model"])

    def whole(group: Group, tensor: Tensor) -> np.ndarray:
        pieces = [piece for file in every for piece in file.pieces(_name(group, tensor))]
        length = sum(piece.values.size for piece in pieces)
        if length != 3 * math.prod(tensor.whole):
            raise ValueError(f"{length} numbers of {_name(group, tensor)}")
        return _joined(tensor, pieces)

    with _readable(path):
        _load(trainer, trainer.layers, whole)
    return step


@contextmanager
def _readable(path: str) -> Iterator[None]:
    """Raise ArgumentError where files are not there, or not as `save` writes them."""
    try:
        yield
    except FileNotFoundError as error:
        raise ArgumentError(
            f"train: --restore needs a checkpoint, got {path!r}, in which {error.filename} is not "
            "there; name one that --save has written"
        ) from None
    except BROKEN:
        raise ArgumentError(
            f"train: --restore needs a whole checkpoint, got {path!r}, which is none or is half "
            "written; name another one"
        ) from None


def _same_model(path: str, saved: dict[str, Any], ours: dict[str, Any]) -> None:
    for key in ours:
        if saved.get(key) != ours[key]:
            raise ArgumentError(
                f"train: --restore needs a checkpoint of this model, got {path!r} with {key} "
                f"{saved.get(key)!r} in place of {ours[key]!r}; "
                "train with the options with which it was saved"
            )


def _meta(trainer: Trainer) -> dict[str, Any]:
    """What belongs to a model and has to be the same, how far it has come, and how many files."""
    return {
        "model": {**asdict(trainer.job.size), "alphabet": trainer.text.alphabet},
        "step": trainer.number,
        "ranks": trainer.world.size,
    }


def _name(group: Group, tensor: Tensor) -> str:
    return f"{group.name}/{tensor.name}"
