"""Adam: how weights follow their gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
        gradients = gradients * factor
        mean, square = moments
        mean += (1 - self.beta1) * (gradients - mean)
        square += (1 - self.beta2) * (gradients * gradients - square)
        weights -= rate * mean / (np.sqrt(square) + self.epsilon)
