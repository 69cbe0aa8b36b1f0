"""Submissions as students hand them in: the rung, the points and the sentence of each."""

import json
from collections import Counter

import jsonschema
import pytest
from submissions import ALL, solution, with_body

from collectives.labs import grader
from collectives.labs.lab import lab, labs
from collectives.labs.sandbox import Limits
from collectives.labs.verdict import FAILED, PASSED
from collectives.labs.writers import plain

LIMITS = Limits(seconds=60, one=5)


@pytest.fixture
def graded(tmp_path):
    """The verdict on a text."""

    def grade(chosen, text, limits=LIMITS, mpi=False):
        (tmp_path / "mine.py").write_text(text, encoding="utf-8")
        return grader.grade(chosen, tmp_path, limits=limits, mpi=mpi)

    return grade


@pytest.mark.share(22)
@pytest.mark.parametrize("submission", ALL, ids=str)
def test_what_is_said(graded, submission):
    verdict = graded(submission.alone, submission.text)
    [task] = [task for task in verdict.tasks if task.name == submission.task]
    failed = task.failed
    assert failed is not None, task
    assert (failed.name, task.points) == (submission.rung, submission.points), failed
    said = "\n".join(failed.feedback.lines(0))
    assert submission.says in said
    assert failed.feedback.where and failed.feedback.expected
    assert "0x" not in said and "Traceback" not in said and len(said) < 1500


def test_there_are_enough():
    """For each lab five that are wrong, one that cheats, one deadlock, and one without an end."""
    kinds = Counter((each.lab, each.name.split()[0]) for each in ALL)
    for key in labs():
        if key != "zoo":
            assert all(kinds[key, kind] == 1 for kind in ("cheats", "deadlock", "endless"))
            assert sum(count for (of, _), count in kinds.items() if of == key) == 8


def test_one_task_up_to_mpirun(graded):
    chosen = next(each for each in ALL if each.task == "paired").alone
    verdict = graded(chosen, solution("1"), mpi=True)
    [task] = verdict.tasks
    assert verdict.right and task.rungs[-1].name == "mpirun", task
    assert task.rungs[-1].said == "24 calls over MPI give what the built-in gives"


@pytest.mark.slow
@pytest.mark.parametrize("key", [key for key in labs() if key != "zoo"])
def test_a_solution_gets_all_points(graded, key):
    verdict = graded(lab(key), solution(key), mpi=True)
    assert verdict.right and verdict.points == lab(key).of, [*verdict.failures()]
    assert not verdict.refused


@pytest.mark.slow
@pytest.mark.parametrize("key", [key for key in labs() if key != "zoo"])
def test_what_is_handed_out_is_not_the_solution(graded, key):
    text = (lab(key).folder / "mine.py").read_text(encoding="utf-8")
    verdict = graded(lab(key), text)
    assert verdict.points < verdict.of / 2 and not verdict.refused
    assert all(rung.feedback.hint for _, rung in verdict.failures())


# What would end, fool or flood a grader that ran the file itself.
HOSTILE = {
    "os._exit": (("import os", "os._exit(0)"), "left with status 0 in the middle"),
    "sys.exit": (("import sys", "sys.exit(0)"), "SystemExit: 0"),
    "kill": (("import os", "os.kill(os.getppid(), 9)"), "uses os.kill"),
    "fork": (("import os", "while True:", "    os.fork()"), "uses os.fork"),
    "program": (("import os", "os.system('true')"), "uses os.system"),
    "network": (("from socket import socket", "socket().connect(('1.1.1.1', 80))"), "imports sock"),
    "memory": (
        ("held = []", "while True:", "    held.append(bytearray(10**7))"),
        "takes more memory than a lab may",
    ),
    "flood": (("while True:", "    print('x' * 10000)"), "prints more than a mebibyte"),
    "asleep": (("import time", "time.sleep(1000)"), "it sleeps or waits"),
    "endless": (("while True:", "    pass"), "does not come to its next yield"),
    "stubborn": (
        (
            "import signal",
            "signal.signal(signal.SIGALRM, signal.SIG_IGN)",
            "while True:",
            "    pass",
        ),
        "is not done when the time is over",
    ),
    "file": (("open('/tmp/points.json', 'w')",), "opens /tmp/points.json"),
    "source": (
        (
            "import collectives.algorithms as ours",
            "open(ours.__path__[0] + '/allgather.py').read()",
        ),
        "/allgather.py",
    ),
    "patch": (("import numpy", "send.__init__ = recv.__init__"), "changes send.__init__"),
    "objects": (("import gc", "gc.get_objects()"), "imports gc"),
}


@pytest.mark.share(7)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_ended_and_named(graded, name):
    lines, says = HOSTILE[name]
    text = with_body(solution("3"), "halves_spread", "\n".join([*lines, "yield from ()"]))
    chosen = next(each for each in ALL if each.task == "halves_spread").alone
    limits = Limits(seconds=8, one=2)
    verdict = graded(chosen, text, limits)
    [task] = verdict.tasks
    assert task.points == 0 and task.failed.name == "contract"
    assert says in task.failed.feedback.what
    assert verdict.seconds < 25


def test_fake_verdicts_are_not_read(graded):
    chosen = next(each for each in ALL if each.task == "halves_spread").alone
    body = "print('{\"points\": 20}')\nyield copy(sendbuf, recvbuf[rank])"
    verdict = graded(chosen, with_body(solution("3"), "halves_spread", body))
    assert verdict.points == 2 and verdict.printed.startswith('{"points": 20')


def test_a_verdict_is_plain_data(graded):
    schema = json.loads((lab("3").folder.parent.parent / "verdict.schema.json").read_text())
    chosen = next(each for each in ALL if each.task == "halves_spread").alone
    body = "yield copy(sendbuf, recvbuf[rank])"
    verdict = graded(chosen, with_body(solution("3"), "halves_spread", body))
    data = json.loads(plain.text(verdict))
    jsonschema.validate(data, schema)
    outcomes = [rung["outcome"] for rung in data["tasks"][0]["rungs"]]
    assert outcomes == [PASSED, FAILED, "not reached", "not reached"]
    assert data["tasks"][0]["rungs"][1]["feedback"]["what"] == "nobody sends anything"


def test_rounds_that_take_too_long_end_nothing(graded, monkeypatch):
    monkeypatch.setattr(grader, "LADDER", -1.0)
    chosen = next(each for each in ALL if each.task == "halves_spread").alone
    [task] = graded(chosen, solution("3")).tasks
    assert task.failed.name == "progress" and task.points == 2
    assert "must end in time" in task.failed.feedback.what


def test_what_has_another_form_is_forged(graded, monkeypatch):
    chosen = next(each for each in ALL if each.task == "halves_spread").alone
    run = grader.sandbox.run

    def forged(request, limits):
        report = run(request, limits)
        next(report.of("rounds"))["ranks"] = [[[10**12], []]]
        return report

    monkeypatch.setattr(grader.sandbox, "run", forged)
    verdict = graded(chosen, solution("3"))
    assert verdict.points == 0 and verdict.refused == "writes to the grader by itself"
