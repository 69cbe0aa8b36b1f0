"""A folder of submissions: who is in it, the table, and which have the same code."""

import csv
import re

import pytest
from submissions import ALL, solution

from collectives.errors import ArgumentError
from collectives.labs import batch
from collectives.labs.__main__ import main
from collectives.labs.grader import fingerprint
from collectives.labs.lab import lab
from collectives.labs.similar import pairs
from collectives.labs.texts import unwelcome
from collectives.labs.verdict import Verdict

RENAMED = {"left": "west", "right": "east", "block": "stueck", "arriving": "a", "halves": "f"}

# The ring of lab 3, as somebody else would write it who has not seen ours.
ANOTHER = '''
@algorithm("allreduce", commutative=True)
def ring(rank, p, sendbuf, recvbuf):
    """In two sweeps."""
    yield copy(sendbuf, recvbuf)
    chunks = split(recvbuf, p)
    temporary = [scratch(chunk) for chunk in chunks]
    for sweep in (0, 1):
        for number in range(p - 1):
            going = (rank - number + sweep) % p
            coming = (going - 1) % p
            if sweep == 0:
                yield send(chunks[going], (rank + 1) % p), recv(temporary[coming], (rank - 1) % p)
                yield reduce(temporary[coming], chunks[coming])
            else:
                yield send(chunks[going], (rank + 1) % p), recv(chunks[coming], (rank - 1) % p)


def predict_ring(p, n, alpha, beta, gamma):
    block = n / p
    return (p - 1) * (2 * alpha + 2 * beta * block + gamma * block)
'''


def renamed(text):
    for old, new in RENAMED.items():
        text = re.sub(rf"\b{old}\b", new, text)
    return "# mine, really\n" + text


def given(key):
    return (lab(key).folder / "mine.py").read_text()


@pytest.mark.parametrize("key", ["1", "3", "5", "8"])
def test_names_and_notes_hide_nothing(key):
    text = solution(key)
    assert renamed(text) != text
    [pair] = pairs({"ada": text, "bob": renamed(text)}, given(key))
    assert (pair.one, pair.other, pair.share) == ("ada", "bob", 1)
    assert pair.how in ("the same but for names", "the same code")
    [pair] = pairs({"ada": text, "bob": text}, given(key))
    assert pair.how == "the same file"


def test_who_thinks_alone_is_not_noted():
    """The same schedule, and other code."""
    head = given("3").split("@algorithm")[0]
    texts = {"ada": solution("3"), "bob": head + ANOTHER, "cleo": given("3")}
    assert pairs(texts, given("3")) == []


@pytest.mark.parametrize("key", ["1", "2", "3", "4"])
def test_a_line_changed_is_noted(key):
    changed = [each.text for each in ALL if each.lab == key and each.rung == "result"]
    assert changed
    [pair] = pairs({"ada": solution(key), "bob": renamed(changed[0])}, given(key), 0.7)
    assert (pair.one, pair.other) == ("ada", "bob")
    assert pair.how != "the same code"


@pytest.mark.parametrize("text", ["def f(:", "x = " + "-" * 100_000 + "1", "x = 1" + "+ 1" * 9000])
def test_what_no_python_can_read(text):
    """Too deep, or no program at all: the student's affair, and no error of the grader's."""
    assert pairs({"a": text, "b": text + " "}, "") == []
    assert fingerprint(text) == "" and unwelcome(text) is None


def test_who_is_in_a_folder(tmp_path):
    for path in ("ada/mine.py", "bob/hw/mine.py", "cleo/a/mine.py", "cleo/b/mine.py"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text("")
    for path in ("dora.py", "eve.ipynb", "notes.txt", ".hidden.py"):
        (tmp_path / path).write_text("")
    (tmp_path / "__MACOSX").mkdir()
    found = batch.submissions(tmp_path, lab("3"))
    where = {name: path.relative_to(tmp_path).as_posix() for name, path in found.items()}
    assert where == {
        "ada": "ada/mine.py",
        "bob": "bob/hw/mine.py",
        "cleo": "cleo",
        "dora": "dora.py",
        "eve": "eve.ipynb",
    }
    with pytest.raises(ArgumentError, match="put a folder with answers"):
        batch.submissions(tmp_path / "__MACOSX", lab("zoo"))
    with pytest.raises(ArgumentError, match="a folder with submissions is needed"):
        batch.submissions(tmp_path / "nowhere", lab("3"))


def zoo_of(folder):
    """Four students of the zoo, whose answers are graded in no time."""
    right = (lab("zoo").solution / "answers.toml").read_text()
    bob = right.replace('cause = "order"', 'cause = "=1+1"')
    for name, text in {"ada": right, "=bob": bob, "cleo": "["}.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "answers.toml").write_text(text)
    (folder / "dora [bold]").mkdir()
    (folder / "eve").mkdir()
    (folder / "eve" / "answers.toml").symlink_to(folder / "ada" / "answers.toml")
    return folder


def test_a_table_and_files(tmp_path, capsys):
    folder = zoo_of(tmp_path / "class")
    table, back = tmp_path / "points.csv", tmp_path / "back"
    command = ["batch", str(folder), "--lab", "zoo", "--csv", str(table), "--feedback", str(back)]
    assert main([*command, "--leaderboard"]) == 0
    printed = capsys.readouterr().out
    assert "ada" in printed and "48/48" in printed and "dora [bold]" in printed
    bob, ada, cleo, dora, eve = csv.DictReader(table.open())
    assert [ada["name"], ada["points"], ada["of"], ada["first"]] == ["ada", "48", "48", ""]
    assert bob["points"] == "46" and bob["z01"] == "2" and "cause is not '=1+1'" in bob["first"]
    assert bob["name"] == "'=bob"  # or a spreadsheet would compute it
    assert cleo["points"] == "0" and "cannot be read" in cleo["first"]
    assert dora["points"] == "0" and "one answers.toml is needed" in dora["first"]
    assert eve["points"] == "0" and "got a link called answers.toml" in eve["first"]
    stems = {path.stem for path in back.glob("*.txt")}
    assert (
        stems == {path.stem for path in back.glob("*.json")} == {x.name for x in folder.iterdir()}
    )


def test_nobody_is_named(tmp_path, capsys):
    folder = zoo_of(tmp_path / "class")
    out, key = tmp_path / "points.csv", tmp_path / "key.csv"
    command = ["batch", str(folder), "--lab", "zoo", "--csv", str(out)]
    assert main([*command, "--anonymous", str(key)]) == 0
    printed = capsys.readouterr().out + out.read_text()
    assert "s1" in printed and not re.search(r"\b(ada|bob|cleo|dora|eve)\b", printed)
    whose = {row["number"]: row["name"] for row in csv.DictReader(key.open())}
    points = {whose[row["name"]]: row["points"] for row in csv.DictReader(out.open())}
    assert points == {"ada": "48", "'=bob": "46", "cleo": "0", "dora [bold]": "0", "eve": "0"}


def test_leaders():
    """By simulated time; who cheated is not ranked, nor who has no verdict."""
    named = {"slow": 3e-3, "quick": 1e-3, "cheat": 1e-9}
    marked = [
        batch.Marked(name, Verdict("3", "", (), "it" * (name == "cheat"), predicted={"ring": time}))
        for name, time in named.items()
    ]
    marked.append(batch.Marked("none", None, "an error"))
    assert batch.leaders(marked) == {"ring": [(1e-3, "quick"), (3e-3, "slow")]}


def test_an_error_of_the_graders_is_no_verdict(tmp_path, capsys, monkeypatch):
    def failing(*_):
        yield batch.Marked("ada", None, "OSError: no space left on device")

    monkeypatch.setattr(batch, "grade_all", failing)
    assert main(["batch", str(zoo_of(tmp_path)), "--lab", "zoo"]) == 2
    assert "NOT GRADED: OSError" in capsys.readouterr().out


@pytest.mark.slow
def test_a_class_of_forty(tmp_path, capsys):
    """Thirty-six that are wrong in all ways of lab 1, and four that are right, two of them one."""
    wrong = [each for each in ALL if each.lab == "1"]
    for number in range(36):
        path = tmp_path / f"s{number:02}" / "mine.py"
        path.parent.mkdir()
        path.write_text(f"# {number}\n{wrong[number % len(wrong)].text}")
    for number in range(36, 40):
        (tmp_path / f"s{number}.py").write_text(solution("1") + f"\n# {number}\n")
    out = tmp_path / "points.csv"
    assert main(["batch", str(tmp_path), "--lab", "1", "--csv", str(out), "--no-mpi"]) == 0
    rows = [*csv.DictReader(out.open())]
    assert len(rows) == 40 and len({row["of"] for row in rows}) == 1
    assert [row["points"] for row in rows[36:]] == [rows[0]["of"]] * 4
    assert all(float(row["points"]) < float(row["of"]) for row in rows[:36])
