"""`python -m collectives.llm`: what it prints, and what it says of mistakes."""

import json
import re
import subprocess
import sys

import pytest

from collectives.algorithms import REGISTRY
from collectives.llm.__main__ import COMMANDS, main


def said(capsys, *words):
    assert main(words) == 0
    return capsys.readouterr().out


def test_the_list_of_the_article(capsys):
    text = said(capsys, "memory", "7B")
    for line in (
        "weights, 16-bit                    2   14.00",
        "updated weights, 16-bit            2   14.00",
        "gradients, 16-bit                  2   14.00",
        "gradient updates, 16-bit           2   14.00",
        "first moment, 32-bit               4   28.00",
        "second moment, 32-bit              4   28.00",
        "sum                               16  112.00",
    ):
        assert line in text
    assert "8 bytes of `article`, 12 of `zero`" in text
    assert "63.00 GB or 38.50 GB" in text


@pytest.mark.parametrize(
    "words, line",
    [
        (["memory", "7B", "--dp", "8", "--zero", "1"], "38.50"),
        (["memory", "7B", "--recipe", "deepspeed"], "140.00"),
        (["memory", "llama2-7b"], "6,738,415,616 parameters"),
        (["memory", "mixtral-8x7b", "--ep", "8"], "it goes to 2 of the 8 routed experts"),
        (["memory", "llama2-7b", "--explain"], "softmax"),
        (["memory", "llama2-7b", "--offload"], "In the host's memory"),
        (["memory", "llama2-7b", "--layers", "16"], "Llama-2 7B, changed: 3,500,281,856"),
        (["traffic", "7B", "--dp", "8"], "All together: 24.50 GB"),
        (["traffic", "7B", "--dp", "8", "--zero", "3"], "All together: 36.75 GB"),
        (["traffic", "7B"], "there is no other rank"),
        (["traffic", "llama2-7b", "--pp", "4", "--rank", "3"], "gradients to the stage before"),
    ],
)
def test_lines(capsys, words, line):
    assert line in said(capsys, *words)


def test_a_shape_from_numbers(capsys):
    numbers = "--layers 2 --hidden 8 --heads 2 --ffn 16 --vocab 10".split()
    assert "1,480 parameters" in said(capsys, "memory", *numbers)


GROUND = "nodes:2x2,nic=100G,latency=5us"
TINY = "--layers 2 --hidden 64 --heads 4 --ffn 64 --vocab 99 --sequence 32".split()


def test_time_on_a_machine(capsys):
    words = ["traffic", *TINY, "--tp", "2", "--dp", "2", "--topology", GROUND]
    text = said(capsys, *words)
    assert "tokens a second" in text and "Which ranks should be on one node?" in text
    assert "waited for" in said(capsys, *words, "--explain")
    assert "needs the shape" in said(capsys, "traffic", "1M", "--dp", "4", "--topology", GROUND)


def test_an_algorithm_of_ones_own(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(
        "from collectives.algorithms.language import algorithm, send, recv, copy, reduce, scratch\n"
        '@algorithm("allreduce")\n'
        "def to_all(rank, p, sendbuf, recvbuf):\n"
        "    parts = [scratch(sendbuf) for _ in range(p)]\n"
        "    others = [r for r in range(p) if r != rank]\n"
        "    yield copy(sendbuf, recvbuf), *[send(sendbuf, r) for r in others], *[\n"
        "        recv(parts[r], r) for r in others\n"
        "    ], *[reduce(parts[r], recvbuf) for r in others]\n"
    )
    words = "traffic 7B --dp 4 --algorithm allreduce=to_all --load".split()
    try:
        assert "allreduce.to_all" in said(capsys, *words, str(path))
    finally:
        del REGISTRY["allreduce"]["to_all"]


def test_layouts(capsys):
    words = ["layouts", *TINY, "--gpus", "4", "--batch", "8", "--topology", GROUND]
    text = said(capsys, *words)
    assert "layouts fit; the fastest 10" in text
    found = json.loads(said(capsys, *words, "--json"))
    times = [each["step"]["seconds"] for each in found]
    assert times == sorted(times) and len(times) > 10
    for each in found:
        terms = each["step"]["terms"]
        assert each["step"]["seconds"] == pytest.approx(sum(term["exposed"] for term in terms))


@pytest.mark.parametrize("command", ["memory", "traffic"])
def test_for_programs(capsys, command):
    found = json.loads(said(capsys, command, *TINY, "--dp", "3", "--zero", "3", "--json"))
    if command == "traffic":
        assert found["sent"] == sum(flow["sent"] for flow in found["flows"]) > 0
    else:
        assert found["ranks"][0]["total"] > 0 and found["worst"] == 0
        assert found["fits"][0]["gb"] == 24 and found["fits"][0]["fewest"]["ranks"] == 1


@pytest.mark.parametrize(
    "words, message",
    [
        ("memory", "model: 7B, one of gpt2-124m, .* are needed, got nothing"),
        ("memory 7C", "got '7C'"),
        ("memory 7B --tp 2", "7B: --tp needs the shape of the model, .* name one of gpt2-124m"),
        ("memory 7B --flash", "7B: --flash needs the shape"),
        ("layouts 7B", "7B: layouts needs the shape"),
        ("memory 7B --recipe nine", "recipe: one of article, .*, got 'nine'"),
        ("memory llama2-7b --tp 3", "tp must divide the 32 heads, got 3; tp 1, 2, .* would fit"),
        ("memory llama2-7b --pp 5", "pp must divide the 32 layers, got 5"),
        ("memory mixtral-8x7b --ep 3", "ep must divide the 8 experts, got 3"),
        ("memory llama2-7b --ep 2", "ep needs a model with experts"),
        ("memory llama2-7b --ranks 12 --dp 5", "to the 12 ranks, got dp 5 = 5; dp 12 would fit"),
        ("memory llama2-7b --zero 4", "zero must be a stage from 0 to 3"),
        ("memory llama2-7b --sp", "sp shares tokens"),
        ("memory llama2-7b --schedule gpipe", "--schedule is for a pipeline, got gpipe with pp 1"),
        ("traffic llama2-7b --pp 1 --chunks 2", "--chunks is for a pipeline, got 2 with pp 1"),
        ("memory llama2-7b --cp 3 --sequence 100", "--sequence 99 would fit"),
        ("memory llama2-7b --plot x.gif", "--plot: a file that ends in svg, pdf, png is needed"),
        ("traffic 7B --dp 8 --rank 8", "rank must be a rank from 0 to 7, got 8"),
        ("traffic 7B --dp 8 --algorithm bcast=ring", "got 'bcast=ring'"),
        ("traffic 7B --dp 8 --topology nodes:2x2,nic=25G", "number of ranks p must be at most 4"),
        ("layouts llama2-70b --gpus 2", "must fit in 80 GB, got none that does"),
    ],
)
def test_mistakes_in_one_sentence(capsys, words, message):
    assert main(words.split()) == 2
    told = capsys.readouterr()
    assert re.search(message, told.err) and told.err.count("\n") == 1 and not told.out


@pytest.mark.parametrize("words", ["memory 7B --dp 0", "traffic 7B --rate fast", "nothing"])
def test_mistakes_that_argparse_finds(capsys, words):
    with pytest.raises(SystemExit):
        main(words.split())
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("form, start", [("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")])
def test_plots(tmp_path, form, start):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"memory.{form}"
    words = ["memory", *TINY, "--dp", "2", "--pp", "2", "--plot", str(path)]
    assert main(words) == 0
    first = path.read_bytes()
    assert first.startswith(start)
    assert main(words) == 0 and path.read_bytes() == first


def test_each_command_helps(capsys):
    for command in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert "usage:" in capsys.readouterr().out


def test_numpy_comes_with_the_command_only():
    """Training says how many threads there are before numpy is imported."""
    program = "import sys, collectives.llm.__main__; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
