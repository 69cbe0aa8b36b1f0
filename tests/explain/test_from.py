"""`explain --from`: a recorded run in the terminal, as JSON and for Perfetto; and what is none."""

import json
import re
import shutil
from importlib import resources

import jsonschema
import pytest
from launch import mpirun
from perfetto import BINARY, check_chrome, check_file

from collectives import Trace
from collectives.__main__ import main
from collectives.study.recorded import Run

PROGRAM = """
import numpy as np
from mpi4py import MPI
comm = MPI.COMM_WORLD
mine, total = np.arange(6.0), np.empty(6)
comm.Allreduce(mine, total)
comm.Bcast(total, root=2)
request = comm.Ibarrier()
comm.Reduce(mine, total if comm.rank == 1 else None, op=MPI.MAX, root=1)
request.Wait()
"""
P = 3
SCHEMA = resources.files("collectives.engines").joinpath("trace.schema.json").read_text("utf-8")
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The directory of a run of 3 ranks: a program that knows nothing of us."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "program.py").write_text(PROGRAM)
    run = folder / "run"
    options = ("--trace", run, "--algorithm", "allreduce=ring,reduce=tree")
    done = mpirun(P, "-m", "collectives", "run", *options, folder / "program.py")
    assert (done.status, done.err) == (0, "")
    return run


@pytest.fixture
def explain(capsys):
    def run(*arguments):
        status = main(["explain", *map(str, arguments)])
        captured = capsys.readouterr()
        return captured.out or captured.err, status

    return run


def number_of(directory, title):
    return 1 + [call.title for call in Run(directory).calls].index(title)


def test_the_calls_are_listed(recorded, explain):
    text, status = explain("--from", recorded)
    lines = [line.split("  ")[-1] for line in text.splitlines()]
    assert status == 0
    assert lines[0] == "what" and {*lines[1:5]} == {
        "allreduce.ring, 48 B",
        "bcast.tree, 48 B, root = 2",
        "barrier.recursive_doubling, nonblocking",
        "reduce.tree, 48 B, root = 1",
    }
    assert "Clocks agree to" in text
    short, _ = explain("--from", recorded, "--width", 60)
    assert max(map(len, short.splitlines())) <= 60


def test_a_call_is_the_same_picture(recorded, explain):
    text, status = explain("--from", recorded, "--call", number_of(recorded, "allreduce.ring"))
    simulated, _ = explain("allreduce", "ring", "-p", P, "-n", 48)
    assert status == 0 and max(map(len, text.splitlines())) <= 100 and text.isascii()

    def picture(page):
        return page[: page.index("What it costs")].splitlines()[1:]

    assert len(picture(text)) > 30
    for line in picture(simulated):
        if "line 5" in line or "->" in line or line.startswith("rank"):
            assert line.split("{")[0][:20] in text
    table = text[text.index("Predicted and measured") :].splitlines()
    rows = [line.split()[0] for line in table[2:9]]
    assert rows == ["begin", "1", "2", "3", "4", "5", "end"]
    assert "predicted by   alpha 5 us a message" in text
    text, _ = explain("--from", recorded, "--call", 1, "--alpha", "1e-3")
    assert "alpha 1 ms a message" in text


def test_json_is_a_trace(recorded, explain, tmp_path):
    for call in range(1, 5):
        file = tmp_path / "call.json"
        assert explain("--from", recorded, "--call", call, "--json", file) == ("", 0)
        VALIDATOR.validate(json.loads(file.read_text()))
        made = Trace.from_json(json.loads(file.read_text()))
        assert made.origin == "measured" and made.setting.p == P
        assert made.time == max(rank.finished for rank in made.ranks) > 0


@pytest.mark.parametrize("call", [None, 2])
def test_chrome(recorded, explain, tmp_path, call):
    file, calls = tmp_path / "chrome.json", Run(recorded).calls
    chosen = () if call is None else ("--call", call)
    assert explain("--from", recorded, "--chrome", file, *chosen) == ("", 0)
    calls = calls if call is None else calls[call - 1 : call]
    check_chrome(json.loads(file.read_text()), sum(len(each.messages) for each in calls))
    if BINARY:
        check_file(file)


def test_pictures(recorded, explain, tmp_path):
    """Of what was measured, and of what was predicted for it."""
    pytest.importorskip("matplotlib")
    call = number_of(recorded, "bcast.tree")
    for name, more in (("measured", ()), ("predicted", ["--predicted"])):
        file = tmp_path / f"{name}.svg"
        assert explain("--from", recorded, "--call", call, "--svg", file, *more) == ("", 0)
        assert "<title" in file.read_text()
    assert (tmp_path / "measured.svg").read_text() != (tmp_path / "predicted.svg").read_text()


def rewrite(file, change):
    """Change the objects in the lines of a file."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        change(line)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_clocks_that_differ(recorded, tmp_path):
    """Rank 1's clock is ahead and too fast, and it was measured: nothing else has changed."""
    folder = shutil.copytree(recorded, tmp_path / "other")
    begin, _ = Run(recorded).processes[1].crew[0].offsets

    def other(time):
        return None if time is None else time + 5 + 1e-5 * (time - begin.at)

    def change(line):
        for offset in line.get("crew", {}).get("offsets", ()):
            at = offset["at"]
            offset.update(at=other(at), seconds=other(at) - at, uncertainty=1e-6)
        if "call" in line:
            line["call"]["times"] = [*map(other, line["call"]["times"])]

    rewrite(folder / "rank-1.jsonl", change)
    for one, two in zip(Run(recorded).calls, Run(folder).calls, strict=True):
        assert one.title == two.title
        for mine, theirs in zip(one.times, two.times, strict=True):
            assert theirs == pytest.approx(mine, abs=1e-6, rel=0, nan_ok=True)


def cut(folder):
    file = folder / "rank-1.jsonl"
    file.write_text(file.read_text()[:-20])


def without_end(folder):
    file = folder / "rank-2.jsonl"
    file.write_text("".join(line + "\n" for line in file.read_text().splitlines()[:-1]))


def of_another_run(folder):
    rewrite(
        folder / "rank-1.jsonl",
        lambda line: [line["crew"].update(name=1)] if "crew" in line else None,
    )


def of_another_version(folder):
    rewrite(
        folder / "rank-0.jsonl",
        lambda line: line["header"].update(version=99) if "header" in line else None,
    )


BAD = {
    "missing": (lambda folder: (folder / "rank-1.jsonl").unlink(), "got none of rank 1"),
    "cut": (cut, r"got rank-1.jsonl, which is broken in line \d+"),
    "killed": (without_end, r"got rank-2.jsonl, which ends after line \d+, without its end"),
    "mixed": (of_another_run, "of different runs"),
    "version": (of_another_version, "got rank-0.jsonl of 99"),
    "empty": (lambda folder: [file.unlink() for file in folder.iterdir()], "got .* without"),
    "binary": (lambda folder: (folder / "rank-0.jsonl").write_bytes(b"\xff"), "is broken"),
    "gone": (shutil.rmtree, "needs a directory that a run has recorded"),
}


@pytest.mark.parametrize("damage, message", BAD.values(), ids=BAD)
def test_what_is_no_recorded_run(recorded, explain, tmp_path, damage, message):
    folder = shutil.copytree(recorded, tmp_path / "damaged")
    damage(folder)
    text, status = explain("--from", folder)
    assert status == 2 and text.count("\n") == 1 and text.startswith("explain: --from needs")
    assert re.search(message, text)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--call", 9), "--call must be from 1 to 4, got 9"),
        (("--call", 0), "--call must be from 1 to 4, got 0"),
        (("allreduce",), "--from needs a call by its number, got 'allreduce'"),
        (("--json", "x.json"), "--json needs one call of a run, got all"),
        (("--svg", "x.svg"), "a picture needs one call of a run, got all"),
        (("--predicted",), "--predicted needs one call of a run, got all"),
        (("--html", "x.html"), "--html makes a page that runs an algorithm itself"),
        (("--chrome", "/nowhere/x.json"), "--chrome: a file that can be written is needed"),
        (("--call", 1, "--rank", 7), "--rank must be a rank from 0 to 2, got 7"),
    ],
)
def test_wrong_options(recorded, explain, arguments, message):
    text, status = explain("--from", recorded, *arguments)
    assert status == 2 and message in text and text.count("\n") == 1


def test_options_without_a_run(explain):
    for option in (("--call", 1), ("--chrome", "x.json"), ("--predicted",)):
        text, status = explain("allreduce", *option)
        assert status == 2 and f"{option[0]} needs a recorded run, got none" in text


def test_a_page_that_has_changed(recorded, explain, tmp_path):
    """What the page sends now is not what was sent: no picture would be true."""
    folder = shutil.copytree(recorded, tmp_path / "other")
    for file in folder.iterdir():
        rewrite(
            file,
            lambda line: (
                line["sketch"].update(algorithm="tree")
                if line.get("sketch", {}).get("algorithm") == "ring"
                else None
            ),
        )
    text, status = explain("--from", folder, "--call", number_of(folder, "allreduce.tree"))
    assert status == 2 and "allreduce.tree: needs the page that ran" in text
    for file in folder.iterdir():
        rewrite(
            file,
            lambda line: (
                line["sketch"].update(algorithm="mine")
                if line.get("sketch", {}).get("primitive") == "bcast"
                else None
            ),
        )
    text, status = explain("--from", folder, "--call", number_of(folder, "bcast.mine"))
    assert status == 2 and "add --load FILE" in text


def test_a_killed_run_leaves_a_file_without_end(tmp_path, explain):
    program = tmp_path / "program.py"
    program.write_text(
        "import os\nfrom mpi4py import MPI\nimport collectives\n"
        f"comm = collectives.Comm(MPI.COMM_SELF, trace={str(tmp_path / 'run')!r})\n"
        "comm.Barrier()\nos._exit(0)\n"
    )
    mpirun(1, program)
    text, status = explain("--from", tmp_path / "run")
    assert status == 2 and "ends after line 1, without its end" in text
