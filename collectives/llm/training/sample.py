"""Text that a model writes."""

from __future__ import annotations

import numpy as np

from collectives.llm.training.checkpoint import collected
from collectives.llm.training.model.functions import softmax
from collectives.llm.training.model.gpt import whole
from collectives.llm.training.model.layers import Size
from collectives.llm.training.model.parameters import Views
from collectives.llm.training.model.text import Text
from collectives.llm.training.trainer import Trainer

TEMPERATURE = 0.7  # below 1, likely tokens become more likely


def sample(trainer: Trainer, length: int, begin: str = "\n") -> str:
    """So many characters, on rank 0, which has the whole model for it; all ranks have to ask."""
    weights = {name: values[0] for name, values in collected(trainer)}
    if trainer.world.rank:
        return ""
    rng = np.random.default_rng(trainer.job.seed)
    return written(trainer.job.size, trainer.text, weights, length, begin, rng)


def written(
    size: Size, text: Text, weights: Views, length: int, begin: str, rng: np.random.Generator
) -> str:
    """One character after the other, each drawn as the model says it comes next."""
    layers = whole(size)
    start = text.alphabet.find(begin)
    tokens = [max(start, 0)]
    for _ in range(length):
        x = np.array([tokens[-size.sequence :]])
        for layer in layers:
            names = [(g.name, t.name) for g in layer.groups for t in g.tensors]
            x, _ = layer.forward({name: weights[f"{group}/{name}"] for group, name in names}, x)
        shares = softmax(x[0, -1].astype(np.float64) / TEMPERATURE)
        tokens.append(int(rng.choice(len(shares), p=shares)))
    return text.decode(np.array(tokens[1:], np.int64))
