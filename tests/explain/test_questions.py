"""Ten questions, each answered by the page, by the text of a picture and in the terminal alike.

What is right comes from the trace. Answers are compared as ranks and numbers, so that `0-2`,
`0–2` and `0, 1, 2` are one answer.
"""

import re
import xml.etree.ElementTree as ET

import pytest

from collectives import trace
from collectives.__main__ import main
from collectives.explain.html import page
from collectives.explain.pictures.sheet import picture

SVG = "{http://www.w3.org/2000/svg}"
ARROW = r"(\d+) (?:->|→) (\d+)"


def ranks_in(text, p):
    """The ranks of a sum in their order, from `[3-0]`, `0–2` or `3, 4, 0`."""
    found = []
    for first, last in re.findall(r"(\d+)(?:[-–](\d+))?", text):
        length = (int(last or first) - int(first)) % p + 1
        found += [(int(first) + step) % p for step in range(length)]
    return tuple(found)


def pairs_in(text):
    return {(int(source), int(dest)) for source, dest in re.findall(ARROW, text)}


class Held:
    """Whose contributions to a block does each rank hold?"""

    def __init__(self, block=0):
        self.block = block

    def right(self, made, moment):
        cells = [row[self.block] for row in made.held_at(moment)]
        return [made.contributions(cell[0]) if cell else () for cell in cells]

    def page(self, shown, made):
        rows = shown.locator(".grid tbody tr").all()
        if len(made.parts) == 1:
            cells = [row.locator("td").first for row in rows]
        else:
            cells = [row.locator("td").nth(self.block) for row in rows]
        said = [cell.get_attribute("title") or "" for cell in cells]
        return [ranks_in(text.partition(": ")[2], len(said)) for text in said]

    def picture(self, groups, made, moment):
        name = made.parts[self.block].name
        rows = groups[f"grid-{moment}"][1].split("; ")
        found = [re.search(rf"(?:holds |, ){name}: (\[?[\d-]+\]?)", row) for row in rows]
        return [ranks_in(match[1], len(rows)) if match else () for match in found]

    def terminal(self, lines, made):
        at = max(n for n, line in enumerate(lines) if line.startswith("rank "))
        p = len(made.ranks)
        if len(made.parts) == 1:  # one row, a column for each rank
            return [ranks_in(cell, p) for cell in lines[at + 1].split()]
        rows = [line.split()[1:] for line in lines[at + 1 : at + 1 + p]]
        return [ranks_in(row[self.block], p) for row in rows]


class Links:
    """Who sends to whom?"""

    def right(self, made, moment):
        return {(m.source, m.dest) for m in made.messages if m.beat == moment}

    def page(self, shown, made):
        return pairs_in("\n".join(shown.locator(".messages li").all_inner_texts()))

    def picture(self, groups, made, moment):
        [line] = re.findall(rf"^(?:Round|Beat) {moment}: (.*)", groups["picture"], re.MULTILINE)
        return pairs_in(line)

    def terminal(self, lines, made):
        return pairs_in("\n".join(lines))


class Carried:
    """Whose contributions are in the message from one rank to another?"""

    def __init__(self, source, dest):
        self.source, self.dest = source, dest
        self.between = rf"\b{source} (?:->|→) {dest}\b"

    def right(self, made, moment):
        [message] = [
            m
            for m in made.messages
            if (m.beat, m.source, m.dest) == (moment, self.source, self.dest)
        ]
        return made.contributions(message.carries[0].value)

    def _sum(self, text, pattern, p):
        return ranks_in(re.search(self.between + pattern, text)[1], p)

    def page(self, shown, made):
        text = "\n".join(shown.locator(".messages li").all_inner_texts())
        return self._sum(text, r"[^(]*\(from ([^)]*)\)", len(made.ranks))

    def picture(self, groups, made, moment):
        [line] = re.findall(rf"^(?:Round|Beat) {moment}: (.*)", groups["picture"], re.MULTILINE)
        return self._sum(line, r"[^{;]*\{([^}]*)\}", len(made.ranks))

    def terminal(self, lines, made):
        return self._sum("\n".join(lines), r"[^{]*\{([^}]*)\}", len(made.ranks))


class Line:
    """At which line does everybody stand?"""

    def right(self, made, moment):
        [line] = {r.places[0].line for mine in made.ranks for r in mine.rounds if r.until == moment}
        return line

    def page(self, shown, made):
        return int(re.search(r"\b\d\d+\b", shown.locator(".code .here").inner_text())[0])

    def picture(self, groups, made, moment):
        titles = [said[0] for name, said in groups.items() if name.startswith("phase-")]
        rounds = [re.search(r"Rounds (\d+)-(\d+), line (\d+)", title).groups() for title in titles]
        [line] = [line for first, last, line in rounds if int(first) <= moment <= int(last)]
        return int(line)

    def terminal(self, lines, made):
        return int(re.search(r"line (\d+)", "\n".join(lines))[1])


class Path:
    """How many messages does the critical path have?"""

    def right(self, made, moment):
        return len(made.critical)

    def page(self, shown, made):
        return int(shown.locator(".counters tr.path td").nth(1).inner_text())

    def picture(self, groups, made, moment):
        [path] = re.findall(r"^Critical path: (.*)\.$", groups["picture"], re.MULTILINE)
        return path.count("->")

    def terminal(self, lines, made):
        [row] = [line.split() for line in lines if line.startswith("messages ")]
        return int(row[1])


class Messages:
    """How many messages are sent in all?"""

    def right(self, made, moment):
        return len(made.messages)

    def page(self, shown, made):
        return int(shown.locator(".counters tr.messages td").nth(1).inner_text())

    def picture(self, groups, made, moment):
        return int(re.search(r"ranks, (\d+) messages", groups["picture"])[1])

    def terminal(self, lines, made):
        [row] = [line.split() for line in lines if line.startswith("messages ")]
        return int(row[2])


QUESTIONS = [
    ("allreduce", "ring", 5, 3, Held(3)),
    ("allgather", "bruck", 6, 3, Held(2)),
    ("scan", "recursive_doubling", 5, 3, Held()),
    ("allreduce", "recursive_doubling", 8, 3, Links()),
    ("alltoall", "pairwise", 5, 3, Links()),
    ("bcast", "tree", 8, 2, Links()),
    ("reduce_scatter", "ring", 5, 4, Carried(2, 3)),
    ("allreduce", "ring", 5, 6, Line()),
    ("bcast", "tree", 16, None, Path()),
    ("reduce", "tree", 7, None, Messages()),
]


@pytest.mark.share(4)
@pytest.mark.parametrize("primitive, name, p, moment, question", QUESTIONS)
def test_three_eyes_see_the_same(primitive, name, p, moment, question, browser, tmp_path, capsys):
    made = trace(primitive, name, p=p)
    right = question.right(made, moment)
    assert right  # nothing is no answer

    told = main(["explain", primitive, name, "-p", str(p), *_round(moment)])
    assert told == 0
    assert question.terminal(capsys.readouterr().out.splitlines(), made) == right

    [content] = picture(made, ("spacetime", "grid", "graph"), 174, ["svg"])
    assert question.picture(_groups(content), made, moment) == right

    path = tmp_path / "page.html"
    path.write_text(page(primitive, [name]), encoding="utf-8")
    shown = browser.new_page(locale="en-GB", reduced_motion="reduce")
    shown.goto(f"{path.as_uri()}#p={p}&round={moment or 1}")
    shown.wait_for_selector("html[data-ready]", state="attached")
    assert question.page(shown, made) == right
    shown.close()


def _round(moment):
    return [] if moment is None else ["--round", str(moment)]


def _groups(content):
    """Titles and descriptions of the groups of an SVG, by name; of the whole the description."""
    root = ET.fromstring(content)
    said = {"picture": root.find(f"{SVG}desc").text}
    for element in root.iter(f"{SVG}g"):
        texts = [element.find(f"{SVG}{tag}") for tag in ("title", "desc")]
        if texts[0] is not None:
            said[element.get("id")] = [text.text for text in texts if text is not None]
    return said
