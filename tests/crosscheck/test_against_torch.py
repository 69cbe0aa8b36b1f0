"""Our training and our shapes against torch: `make crosscheck`, in an environment that has it.

The small GPT begins with the same weights and gets the same batches there. Ours was written
by hand, gradients included; torch's gradients are its own.
"""

import json
import os
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from launch import mpirun

from collectives.llm.presets import model as preset

if find_spec("torch") is None:
    pytest.skip("torch is not installed: `make crosscheck` brings it", allow_module_level=True)

HERE = Path(__file__).parent
STEPS = 12
MODEL = "--layers 2 --hidden 32 --heads 4 --sequence 32 --batch 8".split()

# How far losses may be apart, as a share of them. Both add up the same numbers in another order.
# Each addition rounds, up and down alike, so that most of it cancels: 4 u for what is left in a
# step, with u the rounding of one, and as much for each step before, whose weights it rests on.
U = {"float64": 2.0**-53, "float32": 2.0**-24}
WITHIN = {dtype: 4 * u * STEPS for dtype, u in U.items()}
PRECISION = {"float64": "fp64", "float32": "fp32"}

each_dtype = pytest.mark.parametrize("dtype", list(U))


@cache
def ours(parallel, ranks, dtype):
    """Losses over MPI."""
    run = mpirun(
        *(ranks, "-m", "collectives.llm", "train", "--parallel", parallel, *MODEL),
        *("--precision", PRECISION[dtype], "--steps", str(STEPS), "--sample", "0", "--json"),
    )
    assert run.status == 0, run.err
    return [step["loss"] for step in json.loads(run.out)["steps"]]


@cache
def theirs(how, ranks, dtype):
    """Losses of torch."""
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    words = [str(HERE / "theirs.py"), "--how", how, "--dtype", dtype, "--steps", str(STEPS), *MODEL]
    done = subprocess.run(
        [sys.executable, *(several if how != "plain" else []), *words],
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def compared(mine, other, dtype):
    assert len(mine) == len(other) == STEPS and mine[-1] < mine[0]
    assert mine == pytest.approx(other, rel=WITHIN[dtype], abs=0)


@each_dtype
def test_one_process(dtype):
    compared(ours("ddp", 1, dtype), theirs("plain", 1, dtype), dtype)


@each_dtype
@pytest.mark.parametrize("parallel, how", [("ddp", "ddp"), ("zero3", "fsdp")])
@pytest.mark.parametrize("ranks", [2, 4])
def test_data_parallelism(parallel, how, ranks, dtype):
    """DDP and FSDP2 over gloo."""
    compared(ours(parallel, ranks, dtype), theirs(how, ranks, dtype), dtype)


def test_another_model_would_show():
    """What is compared is much finer than what a step does."""
    losses = ours("ddp", 1, "float64")
    assert all(abs(a - b) > 100 * WITHIN["float32"] * a for a, b in pairwise(losses))


# Parameters, as torch counts them in modules without memory, beside those that were published.
PUBLISHED = {
    "gpt2-124m": 124_439_808,
    "llama2-7b": 6_738_415_616,
    "llama2-13b": 13_015_864_320,
    "llama2-70b": 68_976_648_192,
    "llama3-8b": 8_030_261_248,
    "llama3-70b": 70_553_706_496,
    "mixtral-8x7b": 46_702_792_704,
}


def llama(layers, hidden, heads, kv_heads, ffn, vocab, experts=0):
    from torch import nn

    def linear(a, b):
        return nn.Linear(a, b, bias=False)

    def network():
        return nn.ModuleList([linear(hidden, ffn), linear(hidden, ffn), linear(ffn, hidden)])

    narrow = hidden // heads * kv_heads
    blocks = [
        nn.ModuleList(
            [
                *(linear(hidden, wide) for wide in (hidden, narrow, narrow, hidden)),
                *(network() for _ in range(experts or 1)),
                *([linear(hidden, experts)] if experts else []),
                *(nn.RMSNorm(hidden) for _ in range(2)),
            ]
        )
        for _ in range(layers)
    ]
    embedding, head = nn.Embedding(vocab, hidden), linear(hidden, vocab)
    return nn.ModuleList([embedding, *blocks, nn.RMSNorm(hidden), head])


def gpt2():
    from torch import nn

    block = nn.TransformerEncoderLayer(768, 12, 3072, norm_first=True)
    blocks = nn.TransformerEncoder(block, 12, nn.LayerNorm(768), enable_nested_tensor=False)
    return nn.ModuleList([nn.Embedding(50257, 768), nn.Embedding(1024, 768), blocks])


MODULES = {
    "gpt2-124m": gpt2,
    "llama2-7b": lambda: llama(32, 4096, 32, 32, 11008, 32000),
    "llama2-13b": lambda: llama(40, 5120, 40, 40, 13824, 32000),
    "llama2-70b": lambda: llama(80, 8192, 64, 8, 28672, 32000),
    "llama3-8b": lambda: llama(32, 4096, 32, 8, 14336, 128256),
    "llama3-70b": lambda: llama(80, 8192, 64, 8, 28672, 128256),
    "mixtral-8x7b": lambda: llama(32, 4096, 32, 8, 14336, 32000, experts=8),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters(name):
    import torch

    with torch.device("meta"):
        counted = sum(one.numel() for one in MODULES[name]().parameters())
    assert preset(name).parameters == counted == PUBLISHED[name]
