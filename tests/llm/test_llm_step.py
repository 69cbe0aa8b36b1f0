"""How long a step takes, held against formulas."""

from dataclasses import replace

import pytest

from collectives import simulate
from collectives.llm import flops
from collectives.llm.layout import Layout
from collectives.llm.network import fastest, part_of, seconds
from collectives.llm.presets import model
from collectives.llm.recipes import recipe
from collectives.llm.setups import Setup
from collectives.llm.shapes import Bare, Shape
from collectives.llm.step import step
from collectives.llm.traffic import per_step
from collectives.llm.work import Work
from collectives.machine import Clock, Machine, machine
from collectives.study.pricing import price

ZERO = recipe("zero")
GPT = Shape("gpt", 8, 256, 8, 1024, 1000, gated=False)
NODES = machine("nodes:2x4,nic=100G,latency=5us,near_rate=800G,near_latency=1us,gamma=0ns")


@pytest.mark.parametrize("s, b, h, layers, v", [(512, 2, 256, 8, 1000), (2048, 1, 1024, 3, 50257)])
def test_the_formula_of_megatron(s, b, h, layers, v):
    """96 b s l h h (1 + s / 6 h + v / 16 l h) with full recomputation."""
    shape = Shape("gpt", layers, h, 8, 4 * h, v, gated=False)
    setup = Setup(shape, ZERO, work=Work(s, b, recompute="full"))
    found = sum(flops.forward(setup, 0).values())
    found += sum(flops.backward(setup, 0).values())
    logits = 6 * b * s * h * v
    rest = 96 * b * s * layers * h * h * (1 + s / (6 * h))
    assert found == pytest.approx(rest + logits)
    assert rest + logits == pytest.approx(
        96 * b * s * layers * h * h * (1 + s / (6 * h) + v / (16 * layers * h))
    )


def test_six_operations_for_a_parameter_and_token():
    shape = model("llama2-7b")
    embedding = shape.parts["embedding"] + shape.parts["norms"]
    assert flops.needed(Setup(shape, ZERO, work=Work(128))) / 128 == pytest.approx(
        6 * (shape.parameters - embedding) + 12 * 32 * 128 * 4096
    )


@pytest.mark.parametrize("layout", [Layout(tp=2), Layout(cp=2), Layout(pp=2), Layout(pp=4, tp=4)])
def test_ranks_share_the_operations(layout):
    setup = Setup(GPT, ZERO, layout, Work(512, 2))
    every = sum(
        sum(flops.forward(setup, layout.place(rank)["pp"]).values()) for rank in range(layout.ranks)
    )
    assert every == pytest.approx(sum(flops.forward(replace(setup, layout=Layout()), 0).values()))


def test_a_group_on_a_node_is_priced_as_near():
    layout = Layout(tp=4, dp=2)
    near = part_of(NODES, 8, layout.group(5, ["tp"]))
    took = price("allreduce", "ring", 4, 10**8, near)
    assert took == pytest.approx(6 * (1e-6 + 10**8 / 4 / 1e11))


def test_groups_beside_each_other_share_a_nic():
    """Four groups of two ranks, one on each node: each has a quarter of the NIC."""
    layout = Layout(tp=4, dp=2)
    far = part_of(NODES, 8, layout.group(5, ["dp"]))
    took = price("allreduce", "ring", 2, 10**8, far)
    assert took == pytest.approx(2 * (5e-6 + 10**8 / 2 / (12.5e9 / 4)), rel=1e-6)
    own = machine("nodes:2x4,nic=100G,nics=4,latency=5us,near_rate=800G,near_latency=1us,gamma=0ns")
    took = price("allreduce", "ring", 2, 10**8, part_of(own, 8, layout.group(5, ["dp"])))
    assert took == pytest.approx(2 * (5e-6 + 10**8 / 2 / 12.5e9), rel=1e-6)


def test_a_group_of_everybody_is_priced_as_the_machine_is():
    growing = machine("nodes:x4,nic=100G,latency=5us,gamma=0ns")
    for ground in (NODES, growing):
        here = part_of(ground, 8, tuple(range(8)))
        plain = simulate("allreduce", "ring", p=8, n=1000, topology=ground).time
        assert price("allreduce", "ring", 8, 1000, here) == plain


def test_placement_decides():
    shape, work = model("llama2-7b"), Work(4096, 1, 8, flash=True)
    found = {}
    for axis in ("tp", "dp"):
        order = (axis, *[other for other in ("tp", "cp", "ep", "dp", "pp") if other != axis])
        layout = Layout(tp=4, sp=True, dp=2, order=order)

        def pricing(flow, layout=layout):
            algorithm = {"allreduce": "ring", "allgather": "ring", "reduce_scatter": "ring"}
            return seconds(flow, algorithm[flow.primitive], NODES, layout.ranks)

        found[axis] = step(Setup(shape, ZERO, layout, work), 4e14, pricing).seconds
    assert found["tp"] < found["dp"]


def made(layout, work, price, rate=1e12, shape=GPT):
    """A step in which every call takes as long, and its terms by name."""
    setup = Setup(shape, ZERO, layout, work)
    found = step(setup, rate, lambda flow: [(price, flow.times)])
    return found, {term.what: term for term in found.terms}


def test_without_others_a_step_computes():
    found, terms = made(Layout(), Work(512, 2), 0)
    assert set(terms) == {"forward", "backward"}
    assert found.used == pytest.approx(1) and found.waiting == 0
    assert terms["backward"].seconds == pytest.approx(2 * terms["forward"].seconds)


def test_gradients_hide_behind_backward():
    work = Work(512, 2, 4, bucket=4)
    _, terms = made(Layout(dp=4), work, 1e-6)
    assert terms["dp: gradients"].exposed == 1e-6  # the last call
    backward = terms["backward"].seconds / 4
    _, terms = made(Layout(dp=4), work, backward / 5)
    assert terms["dp: gradients"].exposed == pytest.approx(
        terms["dp: gradients"].seconds - backward
    )


def test_nothing_hides_twice():
    """The two flows of ZeRO-3 in backward share what there is."""
    _, probe = made(Layout(), Work(512, 2), 0)
    there = probe["backward"].seconds
    _, terms = made(Layout(dp=4, zero=3), Work(512, 2), there / 10 * 0.9)
    flows = [terms["zero3: weights for backward"], terms["zero3: gradients"]]
    took, exposed = (sum(getattr(term, name) for term in flows) for name in ("seconds", "exposed"))
    assert took == pytest.approx(1.8 * there) and exposed >= 0.8 * there


def test_tensor_parallelism_waits():
    _, terms = made(Layout(tp=2), Work(512, 2), 1e-3)
    for name, term in terms.items():
        if name.startswith("tp"):
            assert term.exposed == term.seconds


@pytest.mark.parametrize("layout, share", [
    (Layout(pp=4), 3 / 8), (Layout(pp=4, schedule="gpipe"), 3 / 8),
    (Layout(pp=4, schedule="interleaved", chunks=2), 3 / 16),
])  # fmt: skip
def test_the_bubble(layout, share):
    _, terms = made(layout, Work(512, 2, 8), 0)
    computing = terms["forward"].seconds + terms["backward"].seconds
    assert terms["pipeline bubble"].exposed == pytest.approx(share * computing)


def test_the_step_is_the_sum_of_its_terms():
    found, terms = made(Layout(pp=2, dp=2, tp=2, zero=1), Work(512, 2, 8), 1e-4)
    assert found.seconds == pytest.approx(sum(term.exposed for term in terms.values()))
    assert all(0 <= term.exposed <= term.seconds for term in terms.values())
    assert found.tokens == 2 * 8 * 2 * 512


def test_the_fastest_algorithm():
    flat = Machine(Clock(alpha=1e-3, beta=1e-12, gamma=0))
    layout = Layout(dp=8)
    flow = per_step(Setup(Bare("small", 10**6), ZERO, layout))[0].flow
    long = Machine(Clock(alpha=1e-9, beta=1e-9, gamma=0))
    assert fastest(flow, long, 8)[0] != "recursive_doubling"
    short = per_step(Setup(GPT, ZERO, layout, Work(clip=True)))[-1].flow
    assert fastest(short, flat, 8)[0] == "recursive_doubling"
