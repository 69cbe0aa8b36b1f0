"""The small GPT in torch, begun with the same weights and fed the same batches as ours.

`python theirs.py --how plain` trains it in one process; `python -m torch.distributed.run
--standalone --nproc-per-node 4 theirs.py --how ddp` or `fsdp` on several, over gloo. Prints
the losses as JSON.
"""

import argparse
import json

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from collectives.llm.training.model.adam import Adam
from collectives.llm.training.model.functions import EPSILON
from collectives.llm.training.model.gpt import whole
from collectives.llm.training.model.layers import Size
from collectives.llm.training.model.text import read

SEED = 0


class Part(nn.Module):
    """A layer with the parameters of one of ours, by their names."""

    def __init__(self, layer, rng, dtype):
        super().__init__()
        for group in layer.groups:
            for tensor in group.tensors:
                first = torch.tensor(tensor.draw(rng), dtype=dtype)
                self.register_parameter(tensor.name, nn.Parameter(first))


class Embedding(Part):
    def forward(self, tokens):
        return self.token[tokens] + self.position[: tokens.shape[1]]


class Block(Part):
    def forward(self, x):
        x = x + self.attention(self.normal(x, self.norm1_gain, self.norm1_bias))
        inner = self.normal(x, self.norm2_gain, self.norm2_bias) @ self.up + self.up_bias
        return x + F.gelu(inner, approximate="tanh") @ self.down + self.down_bias

    @staticmethod
    def normal(x, gain, bias):
        return F.layer_norm(x, gain.shape, gain, bias, EPSILON)

    def attention(self, x):
        mixed = torch.einsum("bsh,hkad->kbasd", x, self.qkv) + self.qkv_bias[:, None, :, None]
        out = F.scaled_dot_product_attention(*mixed, is_causal=True)
        return torch.einsum("basd,adh->bsh", out, self.project) + self.project_bias


class Head(Part):
    def forward(self, x):
        return Block.normal(x, self.norm_gain, self.norm_bias) @ self.vocabulary


def model(size, dtype):
    """Weights are drawn as rank 0 of ours draws them."""
    rng = np.random.default_rng([SEED, 0])
    first, *blocks, last = whole(size)
    parts = [Embedding(first, rng, dtype), *(Block(one, rng, dtype) for one in blocks)]
    return nn.Sequential(*parts, Head(last, rng, dtype))


def spread(gpt, how):
    """The model as torch's data parallelism has it."""
    if how == "ddp":
        return nn.parallel.DistributedDataParallel(gpt)
    if how == "fsdp":
        from torch.distributed.fsdp import fully_shard

        mesh = dist.init_device_mesh("cpu", (dist.get_world_size(),))
        for part in gpt:
            fully_shard(part, mesh=mesh)
        return fully_shard(gpt, mesh=mesh)
    return gpt


def trained(given):
    """The mean loss of each step."""
    rank, ranks = (0, 1) if given.how == "plain" else (dist.get_rank(), dist.get_world_size())
    text, dtype = read(None, given.sequence), getattr(torch, given.dtype)
    letters = len(text.alphabet)
    size = Size(given.layers, given.hidden, given.heads, given.sequence, letters, 4 * given.hidden)
    gpt = spread(model(size, dtype), given.how)
    rule = Adam()
    optimizer = torch.optim.Adam(gpt.parameters(), betas=(rule.beta1, rule.beta2))
    losses = []
    for number in range(1, given.steps + 1):
        every = text.batch(number, SEED, given.batch, given.sequence).astype(np.int64)
        mine = torch.tensor(np.array_split(every, ranks)[rank])
        loss = F.cross_entropy(gpt(mine[:, :-1]).flatten(0, 1), mine[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = rule.rate * min(1.0, number / rule.warmup)
            # Ours adds epsilon before the second moment is corrected, torch after it.
            group["eps"] = rule.epsilon / (1 - rule.beta2**number) ** 0.5
        optimizer.step()
        total = loss.detach().double()
        if ranks > 1:
            dist.all_reduce(total)
        losses.append(float(total) / ranks)
    return losses


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--how", choices=("plain", "ddp", "fsdp"), required=True)
    parser.add_argument("--dtype", choices=("float32", "float64"), required=True)
    for name in ("layers", "hidden", "heads", "sequence", "steps", "batch"):
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.how != "plain":
        dist.init_process_group("gloo")
    losses = trained(given)
    if given.how == "plain" or dist.get_rank() == 0:
        print(json.dumps(losses))
    if given.how != "plain":
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
