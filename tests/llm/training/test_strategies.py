"""Every strategy on several ranks gives the losses of one process, and sends what is calculated."""

import os
from pathlib import Path

import pytest
from launch import mpirun

HERE = Path(__file__).parent

# A case is a layout, the ranks it takes, and options of strategies.py.
FEW = [
    *("ddp@3 m:2", "zero1@2", "zero2@3 m:2 batch:7", "zero3@4 clip:0.5"),
    *("tp@3", "sp@2 m:2", "pp@2 m:3", "cp@3 m:2", "ep@3 size:experts"),
    *("zero3=2,tp=2@4", "ddp=2,pp=2@4 m:2 sched:gpipe", "ddp=2,ep=2@4 size:few", "tp=2,pp=2@4 m:2"),
    *("ddp@3 kind:same_bits m:2", "zero3@4 kind:same_bits", "zero1@2 kind:broadcast"),
    *("ddp@3 kind:not_a_number", "zero3@2 prec:fp32", "ddp=2,ep=2@4 kind:balanced size:few"),
]
WAYS = ("ddp", "zero1", "zero2", "zero3")
SIZE = {5: "fives", 8: "eights"}  # what can be cut into so many


def every_strategy(p):
    """On p ranks, each with what it is good for."""
    dense, deep = SIZE.get(p, "dense"), SIZE.get(p, "deep")
    experts = "few" if p in (4, 8) else "experts"
    return [
        *(f"{way}@{p} m:2 batch:17" for way in WAYS),
        *(f"{way}@{p} prec:fp32 clip:0.3" for way in WAYS),
        *(f"{way}@{p} kind:same_bits" for way in WAYS),
        *(f"{way}@{p} kind:same_bits clip:0.1 m:2" for way in WAYS if p < 5),
        *(f"pp@{p} size:{deep} m:{m} sched:{name}" for m, name in ((3, "1f1b"), (2, "gpipe"))),
        *(f"{way}@{p} size:{dense} m:2" for way in ("tp", "sp", "cp")),
        *(f"{way}@{p} size:{dense} prec:fp32 clip:0.3" for way in ("tp", "sp", "cp")),
        f"ep@{p} size:{experts}",
    ]


MANY = {
    **{p: every_strategy(p) for p in (1, 2, 3, 4, 5, 6, 8)},
    "products": [
        *("ddp=2,tp=3@6 m:2", "zero1=3,tp=2@6", "zero2=2,sp=2@4 m:2", "zero3=2,sp=3@6"),
        *("zero3=2,pp=2@4 m:2", "zero2=2,pp=2@4 m:3", "zero1=4,pp=2@8", "ddp=2,cp=3@6"),
        *("zero3=2,cp=2@4 m:2", "ddp=2,ep=3@6 size:experts", "zero3=2,ep=2@4 size:few m:2"),
        *("zero1=3,ep=2@6 size:few", "sp=2,pp=2@4 m:3", "tp=4,pp=2@8 size:eights m:2"),
        *("ddp=2,tp=2@4 prec:fp32 clip:0.2", "pp@2 size:few m:2", "zero3@4 size:few"),
        *(
            f"{layout} kind:balanced size:few"
            for layout in ("ep@4", "zero3=2,ep=4@8", "zero1=3,ep=2@6", "pp@2", "ddp=2,pp=2@4")
        ),
    ],
    "algorithms": [
        *(f"zero3@3 algorithm:{name}" for name in ("ring", "naive", "tree")),
        *(f"{way}@4 algorithm:recursive_doubling m:2" for way in WAYS),
        *(f"ep@3 size:experts algorithm:{name}" for name in ("ring", "bruck")),
        *(
            "tp@3 algorithm:ring",
            "ddp@4 kind:lossy compress:int8",
            "ddp@4 kind:lossy compress:topk",
        ),
        *(f"{way}@3 kind:broadcast" for way in (*WAYS, "tp", "sp", "cp")),
        *(f"{way}@4 prec:{name} kind:close" for way in WAYS for name in ("bf16", "fp16")),
    ],
}


def run(cases, ranks, limit=60, **variables):
    done = mpirun(
        ranks,
        "-m",
        "mpi4py",
        HERE / "strategies.py",
        *cases,
        limit=limit,
        OMP_NUM_THREADS="1",
        **variables,
    )
    assert done.status == 0, done.out[-2000:] + done.err[-6000:]
    assert done.out.splitlines() == [f"right: {case}" for case in cases], done.out


def test_some():
    run(FEW, 4)


@pytest.mark.slow
@pytest.mark.parametrize("restored", ["pp@2", "zero1@2"])
def test_checkpoints(restored, tmp_path):
    back, ranks = restored.split("@")
    file = tmp_path / "model"
    cases = [
        f"{layout}@4 kind:checkpoints saved:{file} back:{back} ranks:{ranks} m:2"
        for layout in (("zero3", "tp=2,pp=2") if back == "pp" else ("ddp=2,tp=2",))
    ]
    run(cases, 4)


@pytest.mark.slow
@pytest.mark.parametrize("cases", MANY)
def test_all(cases):
    run(MANY[cases], cases if isinstance(cases, int) else 8, limit=600)


@pytest.mark.slow
@pytest.mark.parametrize("back", ["ddp@1", "zero2@3", "sp@3", "pp@2", "cp@4", "zero3=2,tp=2@4"])
@pytest.mark.parametrize("layout", ["ddp@6", "zero1@3", "zero3@5", "tp@2", "pp=2,tp=2@4"])
def test_any_strategy_restores_any_other(layout, back, tmp_path):
    name, ranks = back.split("@")
    if int(layout.split("@")[1]) < int(ranks):
        pytest.skip("the ranks that restore are among those that saved")
    options = f"kind:checkpoints saved:{tmp_path}/x back:{name} ranks:{ranks}"
    run([f"{layout} {options}"], 6, limit=120)
    assert os.listdir(tmp_path) == ["x"]  # and nothing half written beside it
    saved = int(layout.split("@")[1])
    assert sorted(os.listdir(tmp_path / "x")) == [f"{rank}.npz" for rank in range(saved)]
