"""Adam: how weights follow their gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BLOCK = 2**14  # elements that are worked on at once: what is made of them stays in the cache


@dataclass(frozen=True)
class Adam:
    """Adaptive moments (Kingma, Ba 2015), elementwise: so any shard of a vector will do.

    Attributes
    ----------
    rate : float
        The learning rate, after `warmup` steps in which it grows to that.
    """

    rate: float = 3e-3
    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-8
    warmup: int = 10

    def step(
        self,
        weights: np.ndarray,
        gradients: np.ndarray,
        moments: np.ndarray,
        number: int,
        factor: float = 1.0,
    ) -> None:
        """Change weights, in place.

        Parameters
        ----------
        weights, gradients : numpy.ndarray
            Vectors of one length.
        moments : numpy.ndarray
            First and second moments, of shape (2, length).
        number : int
            Which step it is, from 1 on.
        factor : float, optional
            By which gradients are multiplied first.
        """
        rate = self.rate * min(1.0, number / max(self.warmup, 1))
        rate *= (1 - self.beta2**number) ** 0.5 / (1 - self.beta1**number)
        for start in range(0, weights.size, BLOCK):
            here = slice(start, start + BLOCK)
            gradient = gradients[here] * factor
            mean, square = moments[:, here]
            mean += (1 - self.beta1) * (gradient - mean)
            square += (1 - self.beta2) * (gradient * gradient - square)
            weights[here] -= rate * mean / (np.sqrt(square) + self.epsilon)
