"""What a GPT is made of: each function, and below it its gradient.

A backward takes what its forward has saved and the gradient of the loss by the output, `dy`,
and returns the gradient by the input. Gradients by parameters are added to what is there, so
that several micro-batches add up. All work in the type of their inputs.
"""

from __future__ import annotations

import math

import numpy as np

EPSILON = 1e-5  # of layer norm
_ROOT = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


def rows(x: np.ndarray) -> np.ndarray:
    """All but the last axis as one."""
    return x.reshape(-1, x.shape[-1])


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """`x @ weight + bias`."""
    y = x @ weight
    y += bias
    return y


def linear_backward(
    x: np.ndarray, weight: np.ndarray, dy: np.ndarray, dweight: np.ndarray, dbias: np.ndarray
) -> np.ndarray:
    """Adds to `dweight` and `dbias`; returns dx."""
    dweight += rows(x).T @ rows(dy)
    dbias += rows(dy).sum(axis=0)
    return dy @ weight.T


def layer_norm(
    x: np.ndarray, gain: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Mean 0 and variance 1 over the last axis, then gain and bias."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    scale = 1 / np.sqrt(variance + EPSILON)
    centred *= scale
    return centred * gain + bias, (centred, scale)


def layer_norm_backward(
    saved: tuple[np.ndarray, np.ndarray],
    gain: np.ndarray,
    dy: np.ndarray,
    dgain: np.ndarray,
    dbias: np.ndarray,
) -> np.ndarray:
    """Adds to `dgain` and `dbias`; returns dx."""
    normal, scale = saved
    dgain += rows(dy * normal).sum(axis=0)
    dbias += rows(dy).sum(axis=0)
    dnormal = dy * gain
    along = (dnormal * normal).mean(axis=-1, keepdims=True)
    dnormal -= dnormal.mean(axis=-1, keepdims=True)
    dnormal -= normal * along
    dnormal *= scale
    return dnormal


def gelu(x: np.ndarray) -> np.ndarray:
    """GELU by its usual approximation with tanh."""
    return 0.5 * x * (1 + np.tanh(_ROOT * (x + _CUBIC * (x * x * x))))


def gelu_backward(x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Returns dx; the tanh is computed once more instead of being kept."""
    square = x * x
    bend = np.tanh(_ROOT * (x + _CUBIC * (square * x)))
    slope = _ROOT * (1 + 3 * _CUBIC * square)
    return dy * (0.5 * (1 + bend) + 0.5 * x * (1 - bend * bend) * slope)


def softmax(x: np.ndarray) -> np.ndarray:
    """Shares that sum to 1 over the last axis; `x` is used up."""
    x -= x.max(axis=-1, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=-1, keepdims=True)
    return x


def softmax_backward(y: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Returns dx, from the shares themselves."""
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


def cross_entropy(logits: np.ndarray, targets: np.ndarray, tokens: int) -> tuple[float, np.ndarray]:
    """The share of these predictions in the mean loss over `tokens`, and its gradient.

    Parameters
    ----------
    logits : numpy.ndarray
        Of shape (..., vocabulary).
    targets : numpy.ndarray of int
        What comes next, of shape (...).
    tokens : int
        Of all micro-batches of a step on all ranks: so their losses and gradients just add up.

    Returns
    -------
    loss : float
        In nats, summed in float64.
    dlogits : numpy.ndarray
    """
    shares = softmax(logits.copy())
    place = np.arange(targets.size), targets.ravel()
    flat = rows(shares)
    # A share of 0 is a loss of infinity, and a NaN stays one: the trainer looks for both.
    with np.errstate(divide="ignore"):
        loss = -float(np.log(flat[place].astype(np.float64)).sum()) / tokens
    flat[place] -= 1
    shares /= tokens
    return loss, shares
