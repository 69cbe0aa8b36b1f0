"""The verdict in the forms of other programs, held against the schemas of these."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from collectives.errors import ArgumentError
from collectives.labs import verdict, writers
from collectives.labs.__main__ import main
from collectives.labs.feedback import Feedback
from collectives.labs.lab import lab, labs
from collectives.labs.unread import unread
from collectives.labs.verdict import FAILED, NOT_REACHED, NOT_RUN, PASSED, Graded, Rung, Verdict
from collectives.labs.writers.text import lines

SCHEMAS = Path(__file__).with_name("schemas")
OURS = Path(verdict.__file__).with_name("verdict.schema.json")

# What a runner of Classroom 50 gives.
CLASSROOM = {
    "CLASSROOM": "hpc",
    "ASSIGNMENT": "ring",
    "ASSIGNMENT_TYPE": "individual",
    "OWNER": "ada",
    "SUBMISSION_TAG": "submit/2026-11-26T14-32-05Z-a1b2c3d",
    "COMMIT_URL": "https://example.org/commit/a1b2c3d",
    "RELEASE_URL": "https://example.org/releases/a1b2c3d",
}

# A student's message may be anything.
AWFUL = 'x\x1b[2J\x00 ]]> <b>&amp; # \\ "q"\nok 7 - mine\n---\u2028\ud800\ufffe 环 \u202e1..3'


def rungs(outcome, what="slow"):
    said = Feedback(what, "rank 1, mine.py:14", "one message", "look", "look again")
    return (
        Rung("contract", PASSED, 2, 2, "12 cases recorded"),
        Rung("path", outcome, 0, 5, "", said if outcome == FAILED else None),
        Rung("mpirun", NOT_RUN, 0, 3),
    )


VERDICTS = {
    "mixed": Verdict(
        "3",
        "Ring",
        (Graded("ring", rungs(FAILED)), Graded("halves", rungs(NOT_REACHED))),
        lacks=("the network",),
        seconds=7.25,
        predicted={"ring": 1.57e-3},
        fingerprint="c93e",
    ),
    "awful": Verdict("3", "Ring", (Graded("ring", rungs(FAILED, AWFUL)),), AWFUL, printed=AWFUL),
    "unread": unread(lab("3"), f"labs: a folder with mine.py is needed, got {AWFUL}"),
    "empty": Verdict("zoo", "The zoo", (), printed="\n \n"),
}


def valid(text, schema):
    values = json.loads(text)
    jsonschema.validate(values, json.loads(Path(schema).read_text(encoding="utf-8")))
    return values


@pytest.fixture(autouse=True)
def classroom(monkeypatch):
    """All of it runs where Classroom 50 would run it."""
    for name, text in CLASSROOM.items():
        monkeypatch.setenv(name, text)


@pytest.fixture(params=VERDICTS)
def each(request):
    return VERDICTS[request.param]


def test_json(each):
    values = valid(writers.in_form("json", each), OURS)
    assert values["points"] == each.points and len(values["tasks"]) == len(each.tasks)


@pytest.mark.parametrize("leaderboard", [False, True])
def test_gradescope(each, leaderboard):
    text = writers.in_form("gradescope", each, leaderboard)
    values = valid(text, SCHEMAS / "gradescope.schema.json")
    assert sum(test["score"] for test in values["tests"]) == each.points
    assert sum(test["max_score"] for test in values["tests"]) == each.of
    failed = [test["name"] for test in values["tests"] if test.get("status") == "failed"]
    assert failed == [f"{task}: {rung.name}" for task, rung in each.failures()]
    assert len(values.get("leaderboard", [])) == leaderboard * len(each.predicted)


def test_classroom50(each):
    values = valid(writers.in_form("classroom50", each), SCHEMAS / "classroom50.schema.json")
    assert (values["score"], values["max-score"]) == (each.points, each.of)
    assert all(test["score"] <= test["max-score"] for test in values["tests"])


def test_classroom50_says_what_it_needs(monkeypatch):
    each = VERDICTS["mixed"]
    monkeypatch.delenv("COMMIT_URL")
    with pytest.raises(ArgumentError, match="got no COMMIT_URL; run it as"):
        writers.in_form("classroom50", each)
    monkeypatch.setenv("COMMIT_URL", "x")
    half = Verdict("3", "Ring", (Graded("ring", (Rung("path", PASSED, 2.5, 2.5),)),))
    with pytest.raises(ArgumentError, match=r"whole points are needed .* got 2.5 for ring: path"):
        writers.in_form("classroom50", half)


@pytest.mark.parametrize("leaderboard", [False, True])
def test_autolab(each, leaderboard):
    printed = writers.in_form("autolab", each, leaderboard)
    last = printed.splitlines()[-1]
    if not each.tasks:
        return
    values = valid(last, SCHEMAS / "autolab.schema.json")
    assert sum(values["scores"].values()) == each.points
    assert ("scoreboard" in values) == leaderboard


def test_junit(each):
    schema = pytest.importorskip("xmlschema").XMLSchema(SCHEMAS / "junit.xsd")
    text = writers.in_form("junit", each)
    schema.validate(text)
    root = ElementTree.fromstring(text)
    assert len(root.findall(".//failure")) == len([*each.failures()])
    for suite in root:
        assert int(suite.get("tests")) == len(suite)
        assert int(suite.get("skipped")) == len(suite.findall(".//skipped"))


def test_tap(each):
    """As the specification says: a version, a plan, and test points with a block of YAML."""
    text = writers.in_form("tap", each)
    version, plan, *rest = text.splitlines()
    points = [rung for task in each.tasks for rung in task.rungs]
    assert (version, plan) == ("TAP version 14", f"1..{len(points)}")
    numbers = [int(n) for n in re.findall(r"^(?:not )?ok (\d+) - ", text, re.M)]
    assert numbers == [*range(1, len(points) + 1)]
    line = r"(not )?ok \d+ - ([^#\\]|\\#|\\\\)*( # SKIP [\w ]+)?|  ---|  \.\.\.|  \w+: .*"
    assert all(re.fullmatch(line, each) for each in rest)
    assert text.count("\nnot ok ") == len([*each.failures()])


def test_tap_is_read_by_others(each):
    parser = pytest.importorskip("tap.parser").Parser()
    read = [*parser.parse_text(writers.in_form("tap", each))]
    points = [rung for task in each.tasks for rung in task.rungs]
    tests = [line for line in read if line.category == "test"]
    assert [test.ok for test in tests] == [rung.outcome != FAILED for rung in points]
    assert [test.skip for test in tests] == [r.outcome in (NOT_RUN, NOT_REACHED) for r in points]
    assert not [line for line in read if line.category == "unknown"]
    assert [test.yaml_block["of"] for test in tests] == [rung.of for rung in points]


def test_nothing_moves_a_terminal(each):
    for form in writers.FORMS:
        written = writers.in_form(form, each)
        assert written.encode("utf-8") and "\x1b" not in written and "\u202e" not in written
    assert "\x1b" not in "".join(lines(each))


def test_each_lab_can_stay_unread():
    for key in labs():
        assert unread(lab(key), "labs: nothing").of == lab(key).of


def test_the_command_writes_them(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    wanted = [(f"--{form}", str(tmp_path / form)) for form in writers.FORMS]
    command = ["grade", str(tmp_path / "empty"), "--lab", "3", "--no-mpi"]
    assert main([*command, *sum(wanted, ())]) == 1
    assert "a folder with mine.py is needed" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"empty", *writers.FORMS}
    assert main([*command, "--autolab", "-", "--exit-zero"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["scores"]["ring"] == 0
