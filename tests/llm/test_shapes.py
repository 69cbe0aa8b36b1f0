"""Shapes of models, and the parameters that follow."""

import pytest

from collectives.errors import ArgumentError
from collectives.llm.presets import model, names, with_shape
from collectives.llm.shapes import Bare, Shape

GPT2 = {"gated": False, "biases": True, "norm_biases": True}


@pytest.mark.parametrize("name", names())
def test_counts_are_the_published_ones(name):
    shape = model(name)
    assert shape.parameters == shape.published
    assert sum(shape.parts.values()) == shape.parameters


def test_llama_2_has_what_is_known():
    assert f"{model('llama2-7b').parameters:.2e}" == "6.74e+09"


@pytest.mark.parametrize(
    "name, billions", [("mixtral-8x7b", 12.9), ("deepseek-moe-16b", 2.8), ("llama3-8b", 8.0)]
)
def test_what_a_token_meets(name, billions):
    assert model(name).active / 1e9 == pytest.approx(billions, abs=0.05)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("positions", [0, 33])
@pytest.mark.parametrize("ffn", [20, 64])
def test_a_small_one_counted_by_hand(tied, positions, ffn):
    shape = Shape("tiny", 3, 16, 4, ffn, 51, positions=positions, tied=tied, **GPT2)
    block = 4 * (16 * 16 + 16) + 16 * ffn + ffn + ffn * 16 + 16 + 4 * 16
    assert shape.parameters == 51 * 16 * (2 - tied) + positions * 16 + 3 * block + 2 * 16


def test_experts_counted_by_hand():
    shape = Shape(
        "tiny", 4, 8, 2, 12, 20, experts=5, top_k=2, shared=1, expert_ffn=6, dense_layers=1
    )
    attention, dense, expert = 4 * 64 + 2 * 8, 3 * 8 * 12, 3 * 8 * 6
    assert shape.parameters == 2 * 160 + 8 + 4 * attention + dense + 3 * (6 * expert + 40)
    assert shape.parameters - shape.active == 3 * 3 * expert


@pytest.mark.parametrize("word, count", [("7B", 7 * 10**9), ("124m", 124 * 10**6), ("1.5B", 15e8)])
def test_a_number_means_exactly_that(word, count):
    assert model(word) == Bare(word, count)


@pytest.mark.parametrize("word", ["llama2-7b", "Llama-2 7B", "LLAMA2_7B"])
def test_spellings(word):
    assert model(word).name == "Llama-2 7B"


def test_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("layers = 2\nhidden = 8\nheads = 2\nffn = 16\nvocab = 10\n")
    assert model(str(path)).name == "mine" and model(str(path)).layers == 2


@pytest.mark.parametrize(
    "text, message",
    [
        ("layers = 2\nwidth = 8", "a key must be one of name, layers, .* got 'width'"),
        ("layers = 2", "a shape needs layers, hidden, heads, ffn, vocab, got no hidden"),
        ("layers = 0\nhidden = 8\nheads = 2\nffn = 16\nvocab = 10", "layers must be .* from 1"),
        ("layers = 2\nhidden = 9\nheads = 2\nffn = 16\nvocab = 10", "multiple of the 2 heads"),
        ("layers = 2\nhidden = 8\nheads = 4\nkv_heads = 3\nffn = 1\nvocab = 1", "1, 2, 4 would"),
        ("layers = 2\nhidden = 8\nheads = 4\ntop_k = 3\nffn = 1\nvocab = 1", "got experts 0"),
        ("layers = 2\nhidden = 8\nheads = 4\nexperts = 3\nffn = 1\nvocab = 1", "from 1 to the 3"),
        ("layers = 2\nhidden = 8\nheads = 4\ntied = 3\nffn = 1\nvocab = 1", "true or false"),
        ("layers = ", "a TOML file is needed"),
    ],
)
def test_wrong_files(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ArgumentError, match=message):
        model(str(path))


@pytest.mark.parametrize("word", ["", "7", "B", "llama9-1b", "there-is-none.toml", "-7B"])
def test_no_such_model(word):
    with pytest.raises(ArgumentError, match="is needed, got"):
        model(word)


def test_a_number_alone_has_no_shape():
    with pytest.raises(ArgumentError, match=r"7B: --tp needs the shape .* gpt2-124m, llama2-7b"):
        with_shape(model("7B"), "--tp")
