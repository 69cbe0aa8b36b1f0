"""The layers of a GPT: embedding, blocks of attention and MLP, head.

    x = embedding(tokens)
    x = x + attention(norm(x))      in each block,
    x = x + mlp(norm(x))            both with their norm
    logits = head(x)

A layer has `groups` of parameters, a `forward(w, x)` that returns its output and what its
`backward(w, saved, dy, g)` needs. `w` maps names to weights; gradients are added to `g`, which
has the same names. A layer keeps nothing between calls: whoever runs it decides where
weights are and how long, which is what data parallelism is about.

How a layer is spread over ranks is about two things. `Boundary` stands where a branch begins
and ends; the tensors' `part` says which of it a rank holds. Here both mean: all of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from collectives.llm.training.model.functions import (
    cross_entropy,
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
from collectives.llm.training.model.parameters import Group, Tensor, Views

STD = 0.02  # of first weights, as in GPT-2


@dataclass(frozen=True)
class Size:
    """The shape of a GPT.

    Attributes
    ----------
    layers, hidden, heads : int
        Blocks, the width of a token's vector, and heads of attention.
    sequence, vocab : int
        Tokens in a sequence, and different ones.
    ffn : int
        Width of the MLP.
    experts, top_k : int
        Experts in each block, and how many of them a token goes to; 0 is an MLP instead.
    capacity : float
        How many times its even share of a sequence an expert takes.
    """

    layers: int = 2
    hidden: int = 64
    heads: int = 4
    sequence: int = 64
    vocab: int = 96
    ffn: int = 256
    experts: int = 0
    top_k: int = 2
    capacity: float = 1.25


class Layer(Protocol):
    """What all layers have."""

    name: str
    groups: list[Group]

    def forward(self, w: Views, x: np.ndarray) -> tuple[np.ndarray, Any]: ...

    def backward(self, w: Views, saved: Any, dy: np.ndarray, g: Views) -> Any: ...


class Boundary:
    """Where a branch begins and ends: on one rank nothing happens there.

    Attributes
    ----------
    tokens : slice
        Those of a sequence that this rank has beyond the boundary.
    """

    tokens = slice(None)

    def enter(self, x: np.ndarray) -> np.ndarray:
        """From where every rank has all features, into the branch."""
        return x

    def enter_backward(self, dx: np.ndarray) -> np.ndarray:
        """The same for gradients, on their way out of the branch."""
        return dx

    def leave(self, y: np.ndarray) -> np.ndarray:
        """From the end of the branch to where every rank has all features."""
        return y

    def leave_backward(self, dy: np.ndarray) -> np.ndarray:
        """The same for gradients, on their way into the branch."""
        return dy


class Embedding:
    """A vector for each token, and one for each position in the sequence.

    Parameters
    ----------
    size : Size
    first : int
        The position of the first token that this rank sees.
    words : slice
        The part of the vocabulary that this rank has vectors of; those of others are 0 here.
    boundary : Boundary
        What is behind it adds up the ranks' parts.
    """

    name = "embedding"

    def __init__(
        self,
        size: Size,
        first: int = 0,
        words: slice = slice(None),
        boundary: Boundary | None = None,
    ):
        self.first, self.words = first, range(size.vocab)[words]
        self.boundary = boundary or Boundary()
        self.groups = [
            Group(
                self.name,
                [
                    Tensor("token", (size.vocab, size.hidden), std=STD, part=(words,)),
                    Tensor("position", (size.sequence, size.hidden), std=STD),
                ],
            )
        ]

    def forward(self, w: Views, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tokens of shape (batch, sequence) to vectors (batch, sequence, hidden)."""
        start, stop = self.words.start, self.words.stop
        here = (x >= start) & (x < stop)
        vectors = w["token"][np.where(here, x, start) - start]
        vectors *= here[..., None]
        positions = w["position"][self.first : self.first + x.shape[1]]
        return self.boundary.leave(vectors) + positions[self.boundary.tokens], x

    def backward(self, w: Views, saved: np.ndarray, dy: np.ndarray, g: Views) -> None:
        """A token's vector was used wherever the token is: its gradients are summed."""
        dy = self.boundary.leave_backward(dy)
        chosen = saved.ravel() == np.array(self.words)[:, None]
        g["token"][...] += chosen.astype(dy.dtype) @ rows(dy)  # quicker than np.add.at
        g["position"][self.first : self.first + saved.shape[1]] += dy.sum(axis=0)


class Attention:
    """Causal attention with several heads, after a layer norm.

    Parameters
    ----------
    size : Size
    heads : slice
        The heads that this rank computes.
    """

    outside = ("norm1_gain", "norm1_bias", "project_bias")  # parameters beyond the boundary

    def __init__(self, size: Size, heads: slice = slice(None), boundary: Boundary | None = None):
        self.boundary = boundary or Boundary()
        h, d = size.hidden, size.hidden // size.heads
        self.scale = 1 / math.sqrt(d)
        last = STD / math.sqrt(2 * size.layers)  # so that many blocks do not add up to more
        self.tensors = [
            Tensor("norm1_gain", (h,), mean=1),
            Tensor("norm1_bias", (h,)),
            Tensor("qkv", (h, 3, size.heads, d), std=STD, part=(*[slice(None)] * 2, heads)),
            Tensor("qkv_bias", (3, size.heads, d), part=(slice(None), heads)),
            Tensor("project", (size.heads, d, h), std=last, part=(heads,)),
            Tensor("project_bias", (h,)),
        ]

    def forward(self, w: Views, x: np.ndarray) -> tuple[np.ndarray, Any]:
        """From (batch, sequence, hidden) to the same shape."""
        normal, norm = layer_norm(x, w["norm1_gain"], w["norm1_bias"])
        normal = self.boundary.enter(normal)
        qkv, bias = w["qkv"], w["qkv_bias"]
        mixed = linear(normal, qkv.reshape(len(qkv), -1), bias.ravel())
        # To (3, batch, head, sequence, width of a head).
        q, k, v = mixed.reshape(*x.shape[:1], -1, *bias.shape).transpose(2, 0, 3, 1, 4)
        out, attended = self.attend(q, k, v)
        joined = out.transpose(0, 2, 1, 3).reshape(*normal.shape[:2], -1)
        y = self.boundary.leave(joined @ rows(w["project"]))
        return y + w["project_bias"], (norm, normal, attended, joined)

    def backward(self, w: Views, saved: Any, dy: np.ndarray, g: Views) -> np.ndarray:
        """Returns dx."""
        norm, normal, attended, joined = saved
        g["project_bias"][...] += rows(dy).sum(axis=0)
        dy = self.boundary.leave_backward(dy)
        project = rows(w["project"])
        rows(g["project"])[...] += rows(joined).T @ rows(dy)
        qkv, bias = w["qkv"], w["qkv_bias"]
        batch, heads = len(dy), bias.shape[1:]
        dout = (dy @ project.T).reshape(batch, -1, *heads).transpose(0, 2, 1, 3)
        dmixed = np.stack(self.attend_backward(attended, dout)).transpose(1, 3, 0, 2, 4)
        dnormal = linear_backward(
            normal,
            qkv.reshape(len(qkv), -1),
            dmixed.reshape(*normal.shape[:2], -1),
            g["qkv"].reshape(len(qkv), -1),
            g["qkv_bias"].reshape(-1),
        )
        dnormal = self.boundary.enter_backward(dnormal)
        return layer_norm_backward(norm, w["norm1_gain"], dnormal, g["norm1_gain"], g["norm1_bias"])

    def attend(self, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, Any]:
        """Each token looks at those up to itself; all are (batch, head, sequence, width)."""
        scores = q @ k.swapaxes(-1, -2)
        scores *= self.scale
        scores += later(q.shape[-2], scores.dtype)
        shares = softmax(scores)
        return shares @ v, (q, k, v, shares)

    def attend_backward(self, saved: Any, dout: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns dq, dk and dv."""
        q, k, v, shares = saved
        dscores = softmax_backward(shares, dout @ v.swapaxes(-1, -2))
        dscores *= self.scale
        return dscores @ k, dscores.swapaxes(-1, -2) @ q, shares.swapaxes(-1, -2) @ dout


def later(sequence: int, dtype: Any) -> np.ndarray:
    """Minus infinity where a token would look at a later one."""
    return np.triu(np.full((sequence, sequence), -np.inf, dtype), k=1)


class MLP:
    """Two linear maps with a GELU between them, after a layer norm.

    Parameters
    ----------
    size : Size
    columns : slice
        The inner features that this rank computes.
    """

    outside = ("norm2_gain", "norm2_bias", "down_bias")

    def __init__(self, size: Size, columns: slice = slice(None), boundary: Boundary | None = None):
        self.boundary = boundary or Boundary()
        h, f = size.hidden, size.ffn
        self.tensors = [
            Tensor("norm2_gain", (h,), mean=1),
            Tensor("norm2_bias", (h,)),
            Tensor("up", (h, f), std=STD, part=(slice(None), columns)),
            Tensor("up_bias", (f,), part=(columns,)),
            Tensor("down", (f, h), std=STD / math.sqrt(2 * size.layers), part=(columns,)),
            Tensor("down_bias", (h,)),
        ]

    def forward(self, w: Views, x: np.ndarray) -> tuple[np.ndarray, Any]:
        """From (batch, sequence, hidden) to the same shape."""
        normal, norm = layer_norm(x, w["norm2_gain"], w["norm2_bias"])
        normal = self.boundary.enter(normal)
        up = linear(normal, w["up"], w["up_bias"])
        active = gelu(up)
        y = self.boundary.leave(active @ w["down"])
        return y + w["down_bias"], (norm, normal, up, active)

    def backward(self, w: Views, saved: Any, dy: np.ndarray, g: Views) -> np.ndarray:
        """Returns dx."""
        norm, normal, up, active = saved
        g["down_bias"][...] += rows(dy).sum(axis=0)
        dy = self.boundary.leave_backward(dy)
        g["down"][...] += rows(active).T @ rows(dy)
        dup = gelu_backward(up, dy @ w["down"].T)
        dnormal = linear_backward(normal, w["up"], dup, g["up"], g["up_bias"])
        dnormal = self.boundary.enter_backward(dnormal)
        return layer_norm_backward(norm, w["norm2_gain"], dnormal, g["norm2_gain"], g["norm2_bias"])


class Block:
    """Attention, then MLP or experts, each added to what came in."""

    def __init__(self, name: str, attention: Attention, mlp: Any, experts: Group | None = None):
        self.name = name
        self.attention, self.mlp = attention, mlp
        self.outside = (*attention.outside, *mlp.outside)
        dense = Group(name, [*attention.tensors, *mlp.tensors])
        self.groups = [dense] if experts is None else [dense, experts]

    def forward(self, w: Views, x: np.ndarray) -> tuple[np.ndarray, Any]:
        """From (batch, sequence, hidden) to the same shape."""
        y, attention = self.attention.forward(w, x)
        x = x + y
        y, mlp = self.mlp.forward(w, x)
        return x + y, (attention, mlp)

    def backward(self, w: Views, saved: Any, dy: np.ndarray, g: Views) -> np.ndarray:
        """Returns dx: the gradient goes round each branch, and through it."""
        attention, mlp = saved
        dy = dy + self.mlp.backward(w, mlp, dy, g)
        dy = dy + self.attention.backward(w, attention, dy, g)
        return dy


class Head:
    """A last layer norm, and how likely each token of the vocabulary comes next.

    Parameters
    ----------
    size : Size
    words : slice
        The part of the vocabulary whose logits this rank computes.
    """

    name = "head"
    outside: tuple[str, ...] = ("norm_gain", "norm_bias")

    def __init__(self, size: Size, words: slice = slice(None), boundary: Boundary | None = None):
        self.boundary = boundary or Boundary()
        self.groups = [
            Group(
                self.name,
                [
                    Tensor("norm_gain", (size.hidden,), mean=1),
                    Tensor("norm_bias", (size.hidden,)),
                    Tensor(
                        "vocabulary", (size.hidden, size.vocab), std=STD, part=(slice(None), words)
                    ),
                ],
            )
        ]

    def forward(self, w: Views, x: np.ndarray) -> tuple[np.ndarray, Any]:
        """From (batch, sequence, hidden) to logits (batch, sequence, vocabulary)."""
        normal, norm = layer_norm(x, w["norm_gain"], w["norm_bias"])
        normal = self.boundary.enter(normal)
        return normal @ w["vocabulary"], (norm, normal)

    def loss(
        self, logits: np.ndarray, targets: np.ndarray, tokens: int
    ) -> tuple[float, np.ndarray]:
        """The loss of these logits, and its gradient: see `cross_entropy`."""
        return cross_entropy(logits, targets, tokens)

    def backward(self, w: Views, saved: Any, dy: np.ndarray, g: Views) -> np.ndarray:
        """Returns dx."""
        norm, normal = saved
        g["vocabulary"][...] += rows(normal).T @ rows(dy)
        dnormal = self.boundary.enter_backward(dy @ w["vocabulary"].T)
        return layer_norm_backward(norm, w["norm_gain"], dnormal, g["norm_gain"], g["norm_bias"])
