"""A mixture of experts in place of the MLP.

A router gives every token shares in the experts. Each token goes to the `top_k` with the largest
shares, and what they make of it is added up, each times its share. An expert takes no more
tokens of a sequence than its `capacity`: first choices come before second ones, earlier tokens
before later ones, and who is too late is passed over; the token keeps what it had.

Nothing would keep a router from sending all tokens to one expert. So a small loss is added to
that of the text, which is least where all experts are chosen as often: see `Balance`.

Places and choices are counted within a sequence, so a batch can be cut anywhere between
sequences.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from collectives.llm.training.model.functions import (
    gelu,
    gelu_backward,
    layer_norm,
    layer_norm_backward,
    linear,
    linear_backward,
    rows,
    softmax,
    softmax_backward,
)
from collectives.llm.training.model.layers import STD, Size
from collectives.llm.training.model.parameters import Group, Tensor, Views


class Way(NamedTuple):
    """How many rows each expert of this rank has, and how they came (an exchange's own matter)."""

    here: np.ndarray
    how: Any = None


class Exchange:
    """Brings rows to their experts and back: on one rank they are there."""

    def plan(self, counts: np.ndarray) -> Way:
        """From how many rows go to each expert."""
        return Way(counts)

    def out(self, way: Way, there: np.ndarray) -> np.ndarray:
        """Rows in the order of all experts, to rows in the order of this rank's experts."""
        return there

    def home(self, way: Way, here: np.ndarray) -> np.ndarray:
        """The way back."""
        return here


class Balance:
    """The auxiliary loss of the Switch Transformer (arXiv:2101.03961), which spreads tokens evenly.

    Of E experts, f_i is the part of a sequence's choices that fall on expert i, and P_i the mean
    share that its tokens give to it: E * sum(f_i * P_i) is 1 where all are chosen alike, and E
    where one is. The choices are counted before any comes too late. They have no gradient; the
    shares have one, which takes from the experts that are chosen often.

    Parameters
    ----------
    weight : float
        By which the gradient is multiplied: the weight of this loss in the whole, over the
        tokens of a step on all ranks.

    Attributes
    ----------
    total : float
        The sum over all sequences and layers since somebody set it to 0, without the weight.
    """

    def __init__(self, weight: float = 0.0):
        self.weight, self.total = weight, 0.0

    def forward(self, shares: np.ndarray, best: np.ndarray) -> np.ndarray:
        """Add the loss of some sequences to `total`; E * f of each, (batch, experts)."""
        sequence, experts = shares.shape[1:]
        chosen = (best[..., None] == np.arange(experts)).sum(axis=(1, 2), dtype=shares.dtype)
        load = chosen * (experts / (sequence * best.shape[-1]))
        self.total += float((load * shares.mean(axis=1)).sum(dtype=np.float64))
        return load

    def backward(self, load: np.ndarray) -> np.ndarray:
        """The gradient by the shares of every token, of shape (batch, 1, experts)."""
        return self.weight * load[:, None]


class Experts:
    """Experts, each an MLP, with their router, after a layer norm.

    Parameters
    ----------
    size : Size
    name : str
        Of the group of the experts' parameters.
    mine : slice
        The experts that this rank has.
    exchange : Exchange
    balance : Balance
    """

    outside = ("norm2_gain", "norm2_bias", "router")

    def __init__(
        self,
        size: Size,
        name: str,
        mine: slice = slice(None),
        exchange: Exchange | None = None,
        balance: Balance | None = None,
    ):
        self.exchange, self.balance = exchange or Exchange(), balance or Balance()
        self.top_k, self.experts = size.top_k, size.experts
        self.capacity = math.ceil(size.capacity * size.top_k * size.sequence / size.experts)
        h, f, e = size.hidden, size.ffn, size.experts
        self.tensors = [
            Tensor("norm2_gain", (h,), mean=1),
            Tensor("norm2_bias", (h,)),
            Tensor("router", (h, e), std=STD),
        ]
        last = STD / math.sqrt(2 * size.layers)
        self.group = Group(
            name,
            [
                Tensor("up", (e, h, f), std=STD, part=(mine,)),
                Tensor("up_bias", (e, f), part=(mine,)),
                Tensor("down", (e, f, h), std=last, part=(mine,)),
                Tensor("down_bias", (e, h), part=(mine,)),
            ],
            experts=True,
        )

    def forward(self, w: Views, x: np.ndarray) -> tuple[np.ndarray, Any]:
        """From (batch, sequence, hidden) to the same shape."""
        normal, norm = layer_norm(x, w["norm2_gain"], w["norm2_bias"])
        shares = softmax(normal @ w["router"])
        best = favourites(shares, self.top_k)
        load = self.balance.forward(shares, best)
        token, expert = route(best, self.experts, self.capacity)
        way = self.exchange.plan(np.bincount(expert, minlength=self.experts))
        arrived = self.exchange.out(way, rows(normal)[token])
        made, inner = self._apply(w, way.here, arrived)
        back = self.exchange.home(way, made)
        gate = rows(shares)[token, expert]
        y = np.zeros_like(rows(x))
        np.add.at(y, token, gate[:, None] * back)
        saved = norm, normal, shares, load, token, expert, way, arrived, inner, back
        return y.reshape(x.shape), saved

    def backward(self, w: Views, saved: Any, dy: np.ndarray, g: Views) -> np.ndarray:
        """Returns dx. Gradients go to the experts and back as rows do."""
        norm, normal, shares, load, token, expert, way, arrived, inner, back = saved
        dback = rows(dy)[token]
        dshares = rows(np.broadcast_to(self.balance.backward(load), shares.shape).copy())
        dshares[token, expert] += (dback * back).sum(axis=-1)
        dmade = self.exchange.out(way, rows(shares)[token, expert][:, None] * dback)
        darrived = self._apply_backward(w, way.here, arrived, inner, dmade, g)
        dlogits = softmax_backward(rows(shares), dshares)
        g["router"][...] += rows(normal).T @ dlogits
        dnormal = dlogits @ w["router"].T
        np.add.at(dnormal, token, self.exchange.home(way, darrived))
        dnormal = dnormal.reshape(dy.shape)
        return layer_norm_backward(norm, w["norm2_gain"], dnormal, g["norm2_gain"], g["norm2_bias"])

    def _apply(self, w: Views, counts: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What each expert makes of its rows, and what lies between its two maps."""
        up, made = np.empty((len(x), w["up"].shape[-1]), x.dtype), np.empty_like(x)
        for e, here in enumerate(runs(counts)):
            up[here] = linear(x[here], w["up"][e], w["up_bias"][e])
            made[here] = linear(gelu(up[here]), w["down"][e], w["down_bias"][e])
        return made, up

    def _apply_backward(
        self,
        w: Views,
        counts: np.ndarray,
        x: np.ndarray,
        up: np.ndarray,
        dy: np.ndarray,
        g: Views,
    ) -> np.ndarray:
        dx = np.empty_like(x)
        for e, here in enumerate(runs(counts)):
            down, active = w["down"][e], gelu(up[here])
            dactive = linear_backward(active, down, dy[here], g["down"][e], g["down_bias"][e])
            dup = gelu_backward(up[here], dactive)
            dx[here] = linear_backward(x[here], w["up"][e], dup, g["up"][e], g["up_bias"][e])
        return dx


def runs(counts: np.ndarray) -> list[slice]:
    """Where each of several pieces, one behind the other, lies."""
    ends = [0, *np.cumsum(counts).tolist()]
    return [slice(*pair) for pair in pairwise(ends)]


def favourites(shares: np.ndarray, top_k: int) -> np.ndarray:
    """The experts that each token likes best, the best first: (batch, sequence, top_k)."""
    return np.argsort(-shares, axis=-1, kind="stable")[..., :top_k]


def route(best: np.ndarray, experts: int, capacity: int) -> tuple[np.ndarray, np.ndarray]:
    """Which token goes to which expert.

    Parameters
    ----------
    best : numpy.ndarray of int
        The experts that each token wants, of shape (batch, sequence, top_k).
    experts : int
        How many there are.
    capacity : int
        Tokens of a sequence that an expert takes.

    Returns
    -------
    token, expert : numpy.ndarray of int
        One entry for each visit, in the order of experts; tokens are counted over the batch.
    """
    batch, sequence, _ = best.shape
    claims = best.swapaxes(1, 2).reshape(batch, -1)  # all first choices, then all second ones
    wanted = claims[..., None] == np.arange(experts)
    place = np.take_along_axis(wanted.cumsum(axis=1), claims[..., None], axis=2)[..., 0]
    row, claim = np.nonzero(place <= capacity)
    token, expert = row * sequence + claim % sequence, claims[row, claim]
    order = np.lexsort((token, expert))
    return token[order], expert[order]
