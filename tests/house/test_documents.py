"""What the documents show is what there is: every block of every Markdown file is held here.

CONTRIBUTING.md has the rules by which a block says what it is.
"""

import contextlib
import doctest
import inspect
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from launch import ROOT, mpirun
from markdown_it import MarkdownIt

from collectives.__main__ import COMMANDS, _parser
from collectives.algorithms import PRIMITIVES, REGISTRY
from collectives.bench.cli import parser as bench_parser
from collectives.labs.__main__ import COMMANDS as LABS
from collectives.labs.__main__ import _parser as labs_parser
from collectives.llm.__main__ import COMMANDS as LLM_COMMANDS
from collectives.llm.__main__ import _parser as llm_parser
from collectives.mpi.forms.blocking import Blocking
from collectives.mpi.forms.nonblocking import Nonblocking
from collectives.mpi.forms.objects import Objects
from collectives.mpi.forms.persistent import Persistent

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

# What the programs of a page find when they begin.
BEFORE = """\
import numpy as np
from mpi4py import MPI
import collectives

comm = MPI.COMM_WORLD
gradient = np.ones(1000, np.float32)
total = np.empty_like(gradient)
"""

# Commands that leave nothing behind, and so may share a process.
WITHIN = ("count", "memory", "traffic", "layouts")

# Measurements are made shorter than a reader's; the shape of the output is the same.
SHORTER = {
    "collectives.bench": ["--budget", "5"],
    "collectives.bench.forms": ["--seconds", "0.03"],
    "collectives.bench.reproducible": ["0.05"],
}


@dataclass(frozen=True)
class Block:
    """A block of code or output, and the text of the page before it."""

    page: Path
    line: int
    language: str
    text: str
    before: str

    def __str__(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def kind(self):
        """What it is; every kind has a test below."""
        if self.language == "python":
            if self.text.startswith(">>>"):
                return "session"
            if self.text.startswith("@algorithm"):
                return "source"
            if re.match(r"# \w+\.py\n", self.text):
                return "file"
            return "excerpt" if re.search(r"^yield ", self.text, re.M) else "program"
        if self.language == "indented":
            return "dialogue" if self.text.startswith("$ ") else "commands"
        return {"": "output", "measured": "measured", "text": "text"}[self.language]

    @property
    def command(self):
        """The last command in backticks before an output."""
        found = re.findall(r"`((?:make|mpirun|python) [^`]+)`", self.before)
        assert found, f"{self}: no command before this output"
        return " ".join(found[-1].split())


def blocks():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for token in MarkdownIt("commonmark").parse(text):
            if token.type in ("fence", "code_block"):
                start = token.map[0]
                language = token.info if token.type == "fence" else "indented"
                before = "\n".join(text.splitlines()[:start])
                yield Block(page, start + 1, language, token.content.rstrip("\n"), before)


BLOCKS = list(blocks())


def each(*kinds):
    return pytest.mark.parametrize("block", [x for x in BLOCKS if x.kind in kinds], ids=str)


each_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: str(page.relative_to(ROOT).with_suffix(""))
)


def python(*arguments, cwd):
    """What Python prints, all of it."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
    )
    return done.stdout + done.stderr


def within(module, *arguments):
    """What a module of ours prints when it is run in this process, which is quicker."""
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
        import_module(f"{module}.__main__").main(arguments)
    return screen.getvalue()


def output(command, cwd):
    """Run a command of a document."""
    match shlex.split(command):
        case ["python", "-m", "collectives" | "collectives.llm" as module, *arguments] if (
            arguments[0] in WITHIN
        ):
            return within(module, *arguments)
        case ["mpirun", "-n", ranks, "python", *arguments]:
            module = arguments[1] if arguments[0] == "-m" else ""
            run = mpirun(ranks, *arguments, *SHORTER.get(module, []), COLUMNS="200")
            return run.out
        case ["python", *arguments]:
            return python(*arguments, cwd=cwd)
    raise AssertionError(f"what runs {command!r}?")


def words(text):
    """Words as a pattern: how they are spaced is free, and `...` is anything."""
    parts = re.split(r"(?<!\S)\.\.\.(?!\S)", text)
    return ".*".join(re.escape(" ".join(part.split())) for part in parts)


def shape(text):
    """Lines without numbers and marks; the end of a line is a word, too."""
    lines = [re.sub(r"[*~]?-?\d[\d.,e+-]*", "#", line).split() for line in text.splitlines()]
    return " ".join(word for line in lines for word in [*line, "/" * (line != ["..."])] if line)


def held(block, shown, printed):
    __tracebackhide__ = True
    pattern = words(shown)
    if not re.fullmatch(pattern, " ".join(printed.split())):
        pytest.fail(f"{block} shows\n{shown}\nbut there is\n{printed}")


def by_command():
    """Outputs by the command that prints them: several pages may show one."""
    found = {}
    for block in BLOCKS:
        if block.kind == "output":
            found.setdefault(block.command, []).append(block)
    return found


SHOWN = by_command()


@pytest.mark.parametrize("command", SHOWN)
def test_output_is_what_is_printed(command, tmp_path):
    printed = output(command, tmp_path)
    for block in SHOWN[command]:
        held(block, block.text, printed)


DRAWN = sorted(
    {
        line
        for block in BLOCKS
        if block.kind == "commands"
        for line in block.text.splitlines()
        if " --svg docs/llm/" in line
    }
)


@pytest.mark.share(3)
@pytest.mark.parametrize("command", DRAWN, ids=lambda command: Path(command.split()[-1]).stem)
def test_pictures_are_what_is_drawn(command, tmp_path):
    """`make pictures` draws them anew."""
    _, _, module, *arguments, there = shlex.split(command)
    within(module, *arguments, str(tmp_path / "drawn.svg"))
    assert (tmp_path / "drawn.svg").read_bytes() == (ROOT / there).read_bytes()


@each_page
def test_pictures_come_from_a_command_of_the_page(page):
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r'["(](\S+/pictures/[^")]+)', text):
        there = (page.parent / path).resolve().relative_to(ROOT)
        assert f" --svg {there}\n" in text, path


@pytest.mark.share(5)
@each("measured")
def test_measurements_have_the_shape_that_is_shown(block, tmp_path):
    command = block.command
    if command == "make bench":  # which takes all primitives, and more time
        shown = [x for x in PRIMITIVES if re.search(rf"^{x} ", block.text, re.M)]
        command = f"mpirun -n 4 python -m collectives.bench {' '.join(shown)}"
    printed = output(command, tmp_path)
    held(block, shape(block.text), shape(printed))


@each("dialogue")
def test_dialogues_go_as_shown(block, tmp_path):
    if "mine.py" in block.text and " new " not in block.text:
        python("-m", "collectives", "new", "allreduce", "mine.py", cwd=tmp_path)
    for folder in ("examples", "docs/model"):
        if f"{folder}/" in block.text:
            shutil.copytree(ROOT / folder, tmp_path / folder)
    command, shown = block.text.split("\n", 1)
    held(block, shown, output(command.removeprefix("$ "), tmp_path))


@each("commands")
def test_commands_are_commands(block, monkeypatch):
    monkeypatch.chdir(ROOT)  # their files are named from there
    for line in block.text.splitlines():
        if line.strip():
            assert is_command(line), f"{block}: {line}"


@each_page
def test_commands_in_the_text_are_commands(page):
    """Those of our own command line may be named without what they take."""
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        for child in token.children or []:
            if child.type == "code_inline" and child.content.startswith(("make ", "mpirun -")):
                assert is_command(child.content), child.content
            elif child.content.startswith("python -m collectives"):
                named = child.content.split()[2:4]
                groups = {"collectives.labs": LABS, "collectives.llm": LLM_COMMANDS}
                known = groups.get(named[0], COMMANDS)
                assert find_spec(named[0]) and (named[1:] or [known[0]])[0] in known
                assert len(child.content.split()) <= 4 or is_command(child.content)


def is_command(line):
    """Whether something can be run: its target, module, file and options are there."""
    words = shlex.split(line.partition(" # ")[0].partition(" > ")[0])
    while re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    match words:
        case ["make", *arguments]:
            targets = [word for word in arguments if "=" not in word]
            rules = (ROOT / "Makefile").read_text()
            stems = [re.sub(r"-\d+$", "-%", target) for target in targets]
            return all(re.search(rf"^(.* )?{re.escape(x)}[ :]", rules, re.M) for x in stems)
        case ["mpirun", "-n", _, "python", "-m", module, *arguments]:
            if module == "collectives.bench" and "--help" not in arguments:
                bench_parser().parse_args(arguments)
            return find_spec(module) is not None
        case ["mpirun", "-n", _, "python", file, *_]:
            return file in ("program.py", "mine.py") or (ROOT / file).exists()
        case ["mpirun", "--oversubscribe", "-n", "4", "..."]:
            return True
        case ["python", "-m", "collectives.labs", *arguments]:
            labs_parser().parse_args(arguments)
            return True
        case ["python", "-m", "collectives.llm", *arguments]:
            llm_parser().parse_args(arguments)
            return True
        case ["python", "-m", "collectives", *arguments]:
            _parser().parse_args(arguments)
            return True
        case ["module", "load", *_] | ["pip", "install", *_]:
            return True
        case [".", ".venv/bin/activate"]:
            return True
        case ["sbatch", file, *_]:
            return (ROOT / file).exists()
    return False


@each("session")
def test_sessions(block):
    session = doctest.DocTestParser().get_doctest(block.text + "\n", {}, str(block), None, 0)
    assert session.examples
    assert doctest.DocTestRunner().run(session).failed == 0


@each("source")
def test_algorithms_are_those_of_the_source(block):
    [primitive] = re.findall(r'@algorithm\("(\w+)"', block.text)
    [name] = re.findall(r"^def (\w+)", block.text, re.M)
    assert block.text == inspect.getsource(REGISTRY[primitive][name].generator).strip()


@each("excerpt")
def test_excerpts_are_in_the_source(block):
    sources = "".join(path.read_text() for path in (ROOT / "algorithms").rglob("*.py"))
    for line in block.text.splitlines():
        assert line.partition("  #")[0] in sources


@each("file")
def test_files_are_what_new_writes(block, tmp_path):
    name, _, text = block.text.partition("\n")
    python("-m", "collectives", "new", "allreduce", "mine.py", cwd=tmp_path)
    assert name == "# mine.py" and text == (tmp_path / "mine.py").read_text().strip()


@pytest.mark.parametrize("ranks", [3, pytest.param(1, marks=pytest.mark.slow)])
@each_page
def test_programs_run(page, ranks):
    """All of a page, one after the other."""
    mine = [block.text for block in BLOCKS if block.page == page and block.kind == "program"]
    if mine:
        run = mpirun(ranks, "-c", "\n".join([BEFORE, *mine]))
        assert run.status == 0, run.err


@each_page
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"", text):
        target = "".join(target)
        if not target.startswith(("http", "mailto")):
            path, _, place = target.partition("#")
            there = page.parent / path if path else page
            assert there.exists(), target
            titles = re.findall(r"^#+ (.*)", there.read_text(), re.M) if place else []
            anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
            assert not place or place in anchors, target


@each_page
def test_files_exist(page):
    """Every file and folder of ours that is named in backticks."""
    text = page.read_text(encoding="utf-8")
    ours = "algorithms|bench|collectives|docs|examples|tests"
    for path in re.findall(rf"`((?:{ours})/[\w/.]*)`", text):
        assert (ROOT / path).exists(), path


def test_all_kinds_are_there():
    """Whatever finds blocks or sorts them finds something."""
    kinds = {block.kind for block in BLOCKS}
    assert kinds == {
        *("commands", "dialogue", "excerpt", "file", "measured", "output", "program"),
        *("session", "source", "text"),
    }


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 120 and max(map(len, lines)) <= 100


def test_the_page_about_comm_names_every_form():
    page = (ROOT / "docs" / "comm.md").read_text(encoding="utf-8")
    table = page[page.index("| | blocking") :].split("\n\n")[0]
    kinds = Blocking, Nonblocking, Persistent, Objects
    forms = {name for kind in kinds for name in vars(kind) if not name.startswith("_")}
    assert set(re.findall(r"`(\w+)`", table)) == forms
