"""The lesson of docs/llm: both languages say the same, and commands tell the answers."""

import contextlib
import io
import re
import shlex
import subprocess
import sys
from functools import cache
from importlib import import_module

import pytest
from launch import ROOT

from collectives.errors import ArgumentError
from collectives.llm.__main__ import main
from collectives.llm.lesson.questions import LANGUAGES, Question, amount, chapter, chapters
from collectives.llm.lesson.quiz import quiz, words

CHAPTERS = chapters()
FOLDER = ROOT / "docs" / "llm"
QUESTIONS = [(one.number, at) for one in CHAPTERS for at in range(len(one.questions))]
each_chapter = pytest.mark.parametrize("number", [one.number for one in CHAPTERS])


def page(language, number):
    [path] = (FOLDER / language).glob(f"{number}-*.md")
    return path


@cache
def run(command):
    """What a command prints, in this process."""
    _, _, module, *arguments = shlex.split(command)
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen):
        assert import_module(f"{module}.__main__").main(arguments) == 0
    return screen.getvalue()


# The chapters.


def test_every_chapter_is_there_in_both_languages():
    names = [sorted(path.name for path in (FOLDER / language).iterdir()) for language in LANGUAGES]
    assert names[0] == names[1] and 8 <= len(CHAPTERS) <= 10
    assert [one.number for one in CHAPTERS] == list(range(1, len(names[0]) + 1))
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    for language, name in [(x, name) for x in LANGUAGES for name in names[0]]:
        assert f"]({language}/{name})" in index


def shown(path):
    """What does not depend on the language: commands, output, pictures, files, links."""
    text = path.read_text(encoding="utf-8").replace(" --lang zh", "")
    fence = re.compile(r"^```(\w*\n.*?)^```$", re.M | re.S)
    fences, rest = fence.findall(text), fence.sub("", text)
    return {
        "commands": re.findall(r"(?:mpirun|python) -[^`\n]+", rest),
        "output": fences,
        "targets": re.findall(r"\]\((?:\.\./(?:en|zh)/)?([^)]+)\)|src=\"([^\"]+)", rest),
        "files": re.findall(r"`(collectives/\S+)`", rest),
        "headings": [len(marks) for marks in re.findall(r"^(#+) ", rest, re.M)],
        "rows": len(re.findall(r"^\|", rest, re.M)),
    }


@each_chapter
def test_both_languages_show_the_same(number):
    english, chinese = (shown(page(language, number)) for language in LANGUAGES)
    assert english == chinese


@each_chapter
def test_titles_are_those_of_the_quiz(number):
    for language in LANGUAGES:
        first = page(language, number).read_text(encoding="utf-8").partition("\n")[0]
        assert first == f"# {number}. {chapter(number).title[language]}"


# The questions.


@each_chapter
def test_a_chapter_has_three_questions_in_both_languages(number):
    asked = chapter(number).questions
    assert len(asked) == 3
    for one in asked:
        assert set(one.ask) == set(one.because) == set(LANGUAGES)
        assert len(one.commands) == len(one.finds) == (1 if one.answer == "found" else 2)
        assert all(re.search("[\u4e00-\u9fff]", text["zh"]) for text in (one.ask, one.because))


@pytest.mark.share(3)
@pytest.mark.parametrize("number, at", QUESTIONS)
def test_the_command_tells_the_answer(number, at):
    """And no question has its own answer in it."""
    question = chapter(number).questions[at]
    answer = question.answered(run)
    if question.choices:
        assert answer in {choice.found for choice in question.choices}
        return
    said = f"{answer:.4g}"
    assert answer > 0
    assert not re.search(rf"(?<![\d.^]){re.escape(said)} {question.unit}\b", question.ask["en"])


def test_words_are_the_same_in_both_languages():
    keys = [{key: re.findall(r"{\w+}", text) for key, text in words(x).items()} for x in LANGUAGES]
    assert [{k: sorted(v) for k, v in one.items()} for one in keys[:1]] == [
        {k: sorted(v) for k, v in one.items()} for one in keys[1:]
    ]


# Asking and judging, with made-up questions and commands.

SAMPLES = {"first": "sum  1,024 MB\n", "second": "sum  2.048 GB\n", "fits": "it fits: yes\n"}
NUMBER = Question(
    {"en": "How many?"}, ["first"], [r"^sum +(.*)"], "found", "MB", [], {"en": "So."}, 0.02
)


def changed(**changes):
    return Question(**{**vars(NUMBER), **changes})


def test_numbers_are_read_in_any_unit():
    assert NUMBER.answered(SAMPLES.get) == 1024
    for text in ("1024", "1,024", "1.024 GB", "1024MB", "1030", " 1.02e3 "):
        assert NUMBER.right(NUMBER.reads(text), 1024), text
    for text in ("1000", "1.024", "1024 GB"):
        assert not NUMBER.right(NUMBER.reads(text), 1024), text
    for text in ("", "many", "1024 apples", "1024 s 2", ".", "1.2.3", ","):
        assert NUMBER.reads(text) is None, text


def test_two_commands_are_compared():
    two = dict(commands=["first", "second"], finds=[r"^sum +(.*)"] * 2)
    assert changed(answer="ratio", unit="", **two).answered(SAMPLES.get) == 2
    assert changed(answer="difference", **two).answered(SAMPLES.get) == -1024
    assert changed(answer="larger", **two).answered(SAMPLES.get) == "second"
    same = dict(commands=["first", "first"], finds=[r"^sum +(.*)"] * 2)
    assert changed(answer="larger", **same).answered(SAMPLES.get) == "equal"


def test_a_command_without_the_answer_is_an_error():
    with pytest.raises(ArgumentError, match="quiz: fits must print"):
        changed(commands=["fits"]).answered(SAMPLES.get)


def test_amounts():
    assert amount("24.5 GB") == 24.5e9 and amount("896 KiB") == 896 * 1024 and amount("8") == 8
    with pytest.raises(ValueError):
        amount("8 apples")


def asked(lines, number=1, language="en", patient=False):
    """What the quiz prints, and how many are right."""
    answers = iter(lines)

    def read(prompt):
        try:
            return next(answers)
        except StopIteration:
            raise EOFError from None

    screen = io.StringIO()
    with contextlib.redirect_stdout(screen):
        found = quiz(chapter(number), language, read, patient, run)
    return screen.getvalue(), found


def test_right_and_wrong_answers():
    text, found = asked(["208", "112 GB", "nonsense"])
    assert found == (1, 3)
    assert "Right: 208 GB." in text and "Not so: 84 GB." in text and "The answer: weights" in text
    assert "python -m collectives.llm memory 13B --recipe zero" in text
    assert text.endswith("\n1 of 3 right.\n")


def test_in_chinese():
    text, found = asked(["208", "84", "b"], language="zh")
    assert found == (3, 3) and "答对了：208 GB。" in text and text.endswith("3 题中答对 3 题。\n")


def test_at_a_terminal_what_is_no_answer_is_asked_again():
    assert asked(["208", "x", "84", "z", "B"], patient=True)[1] == (3, 3)


def test_answers_may_be_missing():
    text, found = asked(["208"])
    assert found == (1, 3) and "No more answers: 2 of 3 questions are left." in text


def test_the_list_of_chapters(capsys):
    assert main(["quiz", "--lang", "zh"]) == 0
    out = capsys.readouterr().out
    assert all(one.title["zh"] in out for one in CHAPTERS)


def test_a_chapter_that_is_not_there(capsys):
    assert main(["quiz", "99"]) == 2
    assert "a chapter from 1 to 10 is needed, got 99" in capsys.readouterr().err


@pytest.mark.share(2)
@pytest.mark.parametrize("lines, status", [("208\n84\nb\n", 0), ("208\n", 1)])
def test_answers_come_from_a_pipe(lines, status):
    done = subprocess.run(
        [sys.executable, "-m", "collectives.llm", "quiz", "1"],
        input=lines,
        capture_output=True,
        text=True,
        timeout=100,
        cwd=ROOT,
    )
    assert done.returncode == status, done.stderr
    assert "A number (GB); two digits are enough: 208\n" in done.stdout
