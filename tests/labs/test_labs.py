"""The commands of labs, the zoo, and what the sandbox limits."""

import os

import pytest

from collectives import trace
from collectives.__main__ import main as collectives_main
from collectives.catalogue import load
from collectives.labs import answers, grader, sandbox, zoo
from collectives.labs.__main__ import main
from collectives.labs.lab import lab, labs
from collectives.labs.limits import may_import
from collectives.labs.network import trained
from collectives.labs.texts import unwelcome


def test_every_lab_has_what_it_needs():
    assert [*labs()] == ["1", "2", "3", "4", "5", "6", "7", "8", "zoo"]
    for key in labs():
        chosen = lab(key)
        names = {path.name for path in chosen.folder.iterdir()}
        assert {"sheet.en.md", "sheet.zh.md", "lab.toml"} <= names
        assert set(chosen.title) == {"en", "zh"} and 60 <= chosen.minutes <= 90
        assert chosen.solution.is_dir() and chosen.of > 40
        sheets = [(chosen.folder / f"sheet.{language}.md").read_text() for language in ("en", "zh")]
        for task in [*chosen.tasks, *map(_Named, chosen.settings.get("training", ()))]:
            assert all(f"`{task.function}`" in sheet for sheet in sheets)
        for sheet in sheets:
            assert all(command in sheet for command in chosen.reading)
        assert sheets[0].count("\n## ") == sheets[1].count("\n## ") >= 3


class _Named:
    def __init__(self, plain):
        self.function = plain["function"]


def test_start_hands_out_no_solution(tmp_path, capsys):
    assert main(["start", "3", str(tmp_path / "ring")]) == 0
    found = sorted(path.name for path in (tmp_path / "ring").iterdir())
    assert found == ["mine.py", "sheet.en.md", "sheet.zh.md"]
    assert "python -m collectives.labs check" in capsys.readouterr().out
    assert main(["start", "3", str(tmp_path / "ring")]) == 2
    assert "a folder that is not there yet is needed" in capsys.readouterr().err


def test_solutions_are_for_teachers(capsys):
    assert main(["solution", "3"]) == 2
    assert "--teacher is needed" in capsys.readouterr().err
    assert main(["solution", "3", "--teacher"]) == 0
    assert "def ring(" in capsys.readouterr().out


def test_hints_never_are_the_solution(capsys):
    for key in labs():
        assert main(["hint", key]) == 0
        out = capsys.readouterr().out
        assert len(out) > 100 and "yield send(block" not in out


def test_list(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert all(lab(key).title["en"] in out for key in labs())


def test_a_folder_that_is_no_lab(tmp_path, capsys):
    assert main(["check", str(tmp_path)]) == 2
    assert "a folder with mine.py or answers.toml is needed" in capsys.readouterr().err
    assert main(["check", str(tmp_path), "--lab", "42"]) == 2
    assert "a lab is needed, got '42'; choose from 1, 2, 3" in capsys.readouterr().err


# The zoo


def test_the_zoo_knows_its_animals(registry):
    """The engines find each mistake where the answers say it is."""
    chosen = lab("zoo")
    for name, truth in chosen.settings["truth"].items():
        load(chosen.folder / "programs" / f"{name}.py")
        [primitive] = [each for each, names in registry.items() if name in names]
        size = {"n": 48} if name == "z11" else {}
        root = int(name == "z08")
        failure = trace(primitive, name, p=4, root=root, rendezvous=True, **size).failure
        if name == "z10":  # buffers without memory cannot overlap
            continue
        found = {(wait.rank, wait.round) for wait in failure.waits}
        found |= {(fault.rank, fault.round) for fault in failure.faults} | {
            (failure.rank, failure.round)
        }
        near = {(rank, round_ + by) for rank, round_ in map(tuple, truth["at"]) for by in (0, -1)}
        near |= {(rank, None) for rank, _ in truth["at"]}
        assert found & near, (name, failure)


def test_the_zoo_is_graded():
    chosen = lab("zoo")
    right = (chosen.solution / "answers.toml").read_text()
    assert zoo.grade(chosen, right).points == chosen.of
    wrong = right.replace('cause = "order"', 'cause = "edge"').replace("rank = 1", "rank = 3")
    verdict = zoo.grade(chosen, wrong)
    failed = [(task, rung.name) for task, rung in verdict.failures()]
    assert ("z01", "cause") in failed and ("z04", "rank") in failed
    assert verdict.points == chosen.of - 2 - len([x for x in failed if x[1] != "cause"])
    empty = zoo.grade(chosen, (chosen.folder / "answers.toml").read_text())
    assert empty.points == 0
    broken = zoo.grade(chosen, "[z01\n")
    assert broken.points == 0 and "cannot be read" in next(broken.failures())[1].feedback.what


# The sandbox


@pytest.mark.parametrize(
    "text, name, line",
    [
        ("from collectives.algorithms import bcast", "collectives.algorithms.bcast", 1),
        ("import os\nimport collectives.algorithms.bcast", "collectives.algorithms.bcast", 2),
        ("from collectives import allreduce", "collectives.allreduce", 1),
        ("def f():\n    import torch", "torch", 2),
        ("from . import tests", ".", 1),
        ("import ctypes", "ctypes", 1),
    ],
)
def test_imports_that_are_not_welcome(text, name, line):
    assert unwelcome(text) == (name, line)


def test_imports_that_are_welcome():
    for text in ("import numpy.linalg", "from math import log2", "import dataclasses, itertools"):
        assert unwelcome(text) is None
    assert unwelcome("from collectives.algorithms.language import send") is None
    assert unwelcome("from collectives.algorithms import language") is None
    assert not may_import("collectives.engines.driver")


def test_the_process_says_what_it_is_not_kept_from():
    request = {"file": "mine.py", "text": "x = 1", "tasks": [], "calls": []}
    report = sandbox.run(request, sandbox.Limits())
    [confined] = report.of("confined")
    assert report.ended == "done" and isinstance(confined["lacks"], list)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_becomes_nobody():
    call = {"function": "who", "arguments": [[]]}
    text = "import os\n\n\ndef who():\n    return [os.getuid(), os.geteuid(), os.getgid()]\n"
    request = {"file": "mine.py", "text": text, "tasks": [], "calls": [call]}
    report = sandbox.run(request, sandbox.Limits())
    [value] = report.of("value")
    assert value["values"] == [[65534] * 3]


def test_the_student_sees_no_pages():
    text = (
        "import sys\n\n\ndef seen():\n"
        "    known = [name for name in sys.modules if name.startswith('collectives')]\n"
        "    return [len(name) for name in known if 'language' not in name]\n"
    )
    call = {"function": "seen", "arguments": [[]]}
    request = {"file": "mine.py", "text": text, "tasks": [], "calls": [call]}
    [value] = sandbox.run(request, sandbox.Limits()).of("value")
    assert value["values"] == [[len("collectives"), len("collectives.algorithms")]]


# Parts


def test_answers_know_good_placements():
    for seed in answers.SEEDS:
        leaf = answers.leaves(seed)
        order = sorted(range(len(leaf)), key=lambda rank: leaf[rank])
        assert answers.crossings(leaf, order) == answers.LEAVES
        assert answers.crossings(leaf, range(len(leaf))) > 2 * answers.LEAVES


def test_the_network_learns():
    assert all(abs(weights).max() < 10 for weights in trained())


def test_fingerprints_see_code_only():
    one = grader.fingerprint('"""Mine."""\nx = 1  # one\n')
    assert one == grader.fingerprint('"""Yours."""\n\nx   =  1\n')
    assert one != grader.fingerprint("x = 2\n")


@pytest.mark.slow
@pytest.mark.parametrize("key", labs())
def test_what_is_to_be_read_runs(key, tmp_path, monkeypatch, capsys, registry):
    monkeypatch.chdir(tmp_path)
    assert main(["start", key, "work"]) == 0
    monkeypatch.chdir(tmp_path / "work")
    for command in lab(key).reading:
        words = command.removeprefix("python -m collectives ").split()
        assert collectives_main(words) == (1 if key == "zoo" else 0)
    assert len(capsys.readouterr().out) > 200
