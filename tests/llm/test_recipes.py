"""Bytes for each parameter."""

import pytest

from collectives.errors import ArgumentError
from collectives.llm.recipes import names, recipe


def test_the_list_of_the_article():
    lines = [7 * line.bytes for line in recipe("article").lines]
    assert lines == [14, 14, 14, 14, 28, 28] and sum(lines) == 112


@pytest.mark.parametrize(
    "name, total",
    [
        ("article", 16),
        ("zero", 16),
        ("deepspeed", 20),
        ("fp32-gradients", 18),
        ("fp32", 16),
        ("adam8bit", 10),
        ("sgd-momentum", 12),
        ("bf16-accumulate", 20),
    ],
)
def test_totals(name, total):
    assert recipe(name).bytes == total
    assert name in names()


# What a rank holds is whole + cut / N; Megatron-LM's table has 4 + 16/d, 6 + 12/d and 8 + 8/d.
@pytest.mark.parametrize(
    "name, stage, whole, cut",
    [
        ("article", 1, 8, 8),
        ("zero", 1, 4, 12),
        ("zero", 2, 2, 14),
        ("zero", 3, 0, 16),
        ("deepspeed", 1, 4, 16),
        ("deepspeed", 2, 2, 18),
        ("fp32-gradients", 1, 6, 12),
        ("fp32", 1, 8, 8),
        ("bf16-accumulate", 1, 8, 12),
    ],
)
def test_what_zero_cuts(name, stage, whole, cut):
    found = recipe(name)
    assert (found.bytes - found.cut(stage), found.cut(stage)) == (whole, cut)


def test_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'title = "mine"\n'
        '[[lines]]\nname = "w"\nkind = "weights"\nbytes = 1\n'
        '[[lines]]\nname = "g"\nkind = "gradients"\nbytes = 2\nzero = 1\n'
    )
    found = recipe(str(path))
    assert (found.bytes, found.cut(1), found.travelling("gradients")) == (3, 2, 2)


LINE = '[[lines]]\nname = "w"\nkind = "weights"\nbytes = 2\n'


@pytest.mark.parametrize(
    "text, message",
    [
        (LINE + "bits = 3", "line 1: a key must be one of name, kind, bytes, zero, got 'bits'"),
        ("colour = 1\n" + LINE, "a key must be one of title, source, lines, got 'colour'"),
        (LINE.replace("weights", "heavy"), "kind must be one of weights, .*, got 'heavy'"),
        (LINE.replace("2", "-2"), "bytes must be a number above 0 and up to 64, got -2"),
        (LINE.replace("2", "true"), "bytes must be a number"),
        (LINE + "zero = 4", "zero must be the stage 1, 2 or 3, got 4"),
        (LINE.replace("bytes = 2\n", ""), "got no bytes"),
        (LINE, "first line of gradients travels .* got no such line"),
        (LINE.replace("2", "3"), "must have 1, 2, 4 or 8 bytes, got 3"),
        ("lines = 3", "lines must be a list of tables"),
        ("", "lines must be a list of tables"),
    ],
)
def test_wrong_files(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ArgumentError, match=message):
        recipe(str(path))


def test_no_such_recipe():
    with pytest.raises(ArgumentError, match=r"one of article, zero, .* is needed, got 'adam'"):
        recipe("adam")
