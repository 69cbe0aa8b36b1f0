"""`python -m collectives.llm train`, as a user sees it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from launch import ALLOW, ROOT, launcher, mpirun

TINY = ["--layers", 1, "--hidden", 16, "--sequence", 8, "--batch", 4, "--sample", 0]


def train(ranks, *arguments):
    return mpirun(ranks, "-m", "collectives.llm", "train", *TINY, *arguments)


def test_what_it_prints(tmp_path):
    done = train(2, "--steps", 5, "--sample", 20, "--plot", tmp_path / "loss.svg")
    assert done.status == 0 and not done.err, done.err
    for words in (
        "GPT of 1 layer, 6,480 parameters: width 16, 4 heads, MLPs of 64, 95 different characters",
        "2 ranks: ddp=2; fp32; threads of numpy per rank: 1",
        "step 5 of 5: loss",
        "in the mean of the last 5 of 5",
        "when it goes on during backward",
        "measured and calculated are equal on all 2 ranks",
        "What it writes:",
    ):
        assert words in done.out, done.out
    assert "loss, nats per character" in (tmp_path / "loss.svg").read_text()


def test_for_programs_and_restored(tmp_path):
    """Two steps more, under another strategy, after what was saved: as in one run."""
    whole = train(2, "--steps", 4, "--json", "--save", tmp_path / "whole")
    train(2, "--steps", 2, "--parallel", "zero3", "--save", tmp_path / "half")
    rest = train(1, "--steps", 4, "--json", "--restore", tmp_path / "half")
    whole, rest = json.loads(whole.out), json.loads(rest.out)
    assert [step["number"] for step in rest["steps"]] == [3, 4]
    for one, other in zip(whole["steps"][2:], rest["steps"]):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
    assert len(whole["ranks"]) == 2
    assert sorted(os.listdir(tmp_path)) == ["half", "whole"]


def test_two_levels():
    """Here all ranks are on one node, which has two leaders: calculated alike."""
    done = train(5, "--steps", 1, "--batch", 5, "--algorithm", "allreduce=multi_leader")
    assert "measured and calculated are equal on all 5 ranks" in done.out, done.out + done.err


@pytest.mark.parametrize(("word", "status"), [("--stepz", 2), ("--help", 0)])
def test_a_command_line_is_answered_once(word, status):
    done = train(3, word)
    assert done.status == status
    assert (done.out + done.err).count("usage:") == 1


def test_numpy_comes_after_its_number_of_threads():
    program = (
        "import sys; from collectives.llm.__main__ import _parser; "
        "_parser(['train']).parse_args(['train']); sys.exit('numpy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


@pytest.mark.slow
def test_half_a_checkpoint_and_another_model(tmp_path):
    folder = tmp_path / "x"
    assert train(2, "--steps", 1, "--parallel", "zero1", "--save", folder).status == 0
    done = train(2, "--layers", 2, "--steps", 2, "--restore", folder, "--save", folder)
    assert done.status != 0 and "with layers 1 in place of 2; train with" in done.err
    half, content = folder / "1.npz", (folder / "1.npz").read_bytes()
    for cut, words in ((content[:-1000], "half written; name another one"), (None, "1.npz is not")):
        half.unlink() if cut is None else half.write_bytes(cut)
        done = train(2, "--restore", folder, "--save", folder)
        assert done.status != 0 and done.err.count(words) == 1, done.err
        assert cut is None or half.read_bytes() == cut  # nothing was overwritten
    half.write_bytes(content)
    assert train(1, "--steps", 2, "--restore", folder, "--save", folder).status == 0
    assert os.listdir(folder) == ["0.npz"] and os.listdir(tmp_path) == ["x"]


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "letters.txt").write_text("dear reader")
    done = train(1, "--steps", 1, "--save", tmp_path)
    assert done.status != 0 and "which is something else; name another" in done.err
    assert os.listdir(tmp_path) == ["letters.txt"]


@pytest.mark.share(2)
@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--parallel", "ddp=3"], "multiply to the 2 ranks, got 'ddp=3' = 3; "),
        (["--rate", "1e30", "--steps", 9], "must be a number, got nan in step 2 on rank 0, 1; "),
    ],
)
def test_what_is_wrong_is_said_once(arguments, words):
    done = train(2, *arguments)
    assert done.status != 0 and done.err.count(words) == 1, done.err
    assert "Traceback" not in done.err and "Warning" not in done.err


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--hidden", 15], "--hidden must be a multiple of the 4 heads, got 15; --hidden 16 would"),
        (["--experts", 2, "--top-k", 3], "--top-k must be from 1 to the 2 experts, got 3"),
        (["--balance", "0.5"], "--balance is for experts, got 0.5 without; add --experts 4"),
        (["--top-k", 1], "--top-k is for experts, got 1 without; add --experts 4"),
        (["--schedule", "gpipe"], "--schedule is for a pipeline, got --parallel ddp; add pp"),
        (["--compress", "int8", "--parallel", "zero1"], "for the allreduce of ddp, got zero1"),
        (["--compress", "int8", "--precision", "fp16"], "gradients of 32 or 64 bits, got fp16"),
        (
            ["--plot", "loss.gif"],
            "--plot: a file that ends in svg, pdf, png is needed, got 'loss.gif'; name",
        ),
        (["--save", "/nowhere/x"], "a folder that is there is needed, got '/nowhere'"),
        (["--steps", 0], "a number from 1 on is needed, got '0'"),
        (["--rate", "fast"], "a number above 0 is needed, got 'fast'"),
        (["--algorithm", "allreduce=rong"], "allreduce: the name of an algorithm is needed"),
    ],
)
@pytest.mark.share(9)
def test_mistakes(arguments, words):
    done = train(1, *arguments)
    assert done.status != 0 and words in done.err and "Traceback" not in done.err, done.err


@pytest.mark.slow
@pytest.mark.skipif(launcher() is None, reason="needs mpirun")
def test_ctrl_c_leaves_a_checkpoint(tmp_path):
    command = [launcher(), "-n", "2", sys.executable, "-m", "collectives.llm", "train"]
    process = subprocess.Popen(
        [*command, *map(str, TINY), "--steps", "100000"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **ALLOW, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    try:
        for _ in range(3):  # what is said before the first step
            process.stdout.readline()
        time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert "go on with --restore interrupted" in out, out + err
    assert train(2, "--restore", tmp_path / "interrupted", "--steps", 1).status == 0
