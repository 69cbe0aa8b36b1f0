"""Pictures for print: what an SVG says is what the trace says, and files are always the same."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from launch import ROOT

from collectives import trace
from collectives.__main__ import main
from collectives.algorithms import REGISTRY
from collectives.catalogue import check_restrictions
from collectives.errors import ArgumentError, RestrictionError
from collectives.explain.pictures import sheet
from collectives.explain.pictures.layouts import CUBE, FOREST, LINE, RING, fitting, parents, places
from collectives.explain.pictures.phases import phases
from collectives.explain.pictures.placing import Places
from collectives.explain.pictures.sheet import picture
from collectives.explain.pictures.style import FORMS, KINDS, PALETTE, WIDTHS, colour, shade
from collectives.explain.words import Words

pytestmark = pytest.mark.usefixtures("registry")

ALGORITHMS = [algorithm for names in REGISTRY.values() for algorithm in names.values()]
SVG = "{http://www.w3.org/2000/svg}"
SOME = [
    ("allreduce", "ring", 5),
    ("allreduce", "tree", 8),
    ("barrier", "recursive_doubling", 5),
    ("bcast", "double_tree", 9),
    ("alltoall", "pairwise", 4),
    ("scan", "recursive_doubling", 1),
]


def drawn(made, *kinds, width=174):
    """The SVG of a trace, as a tree."""
    [content] = picture(made, kinds, width, ["svg"])
    return ET.fromstring(content)


def group(root, name):
    [found] = [element for element in root.iter(f"{SVG}g") if element.get("id") == name]
    return found


def said(element, tag="title"):
    found = element.find(f"{SVG}{tag}")
    return "" if found is None else found.text


def texts(root):
    return [element.text for element in root.iter(f"{SVG}text")]


def points(element):
    """Of each line of a group, its two ends."""
    for path in element.iter(f"{SVG}path"):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", path.get("d"))]
        yield numbers[:2], numbers[2:4]


@pytest.mark.share(2)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("primitive", "name", "p"), SOME)
def test_lines_begin_and_end_where_messages_do(primitive, name, p, width):
    made = trace(
        primitive, name, p=p, n=0 if primitive == "barrier" else 8000 * p, late={p - 1: 3e-6}
    )
    root = drawn(made, "spacetime", width=width)
    names = {element.get("id") for element in root.iter(f"{SVG}g")}
    assert sum(name.startswith("message-") for name in names if name) == len(made.messages)
    across, scale = {}, set()
    for number, message in enumerate(made.messages):
        line = group(root, f"message-{number}")
        assert said(line).startswith(Words(made).message(message))
        for (x1, y1), (x2, y2) in points(line):
            for rank, x in ((message.source, x1), (message.dest, x2)):
                assert across.setdefault(rank, x) == x
            scale |= {(message.left, y1), (message.arrived, y2)}
    assert [across[rank] for rank in sorted(across)] == sorted(across.values())
    (first, top), (last, low) = min(scale, default=(0, 0)), max(scale, default=(0, 0))
    for time, y in scale:
        assert y == pytest.approx(top + (low - top) * (time - first) / (last - first), abs=0.02)
    reductions = sum(
        s.kind == "reduce" for rank in made.ranks for r in rank.rounds for s in r.steps
    )
    assert sum(name.startswith("reduction-") for name in names if name) == reductions


@pytest.mark.parametrize(("primitive", "name", "p"), SOME[:5])
def test_grid_says_what_is_held(primitive, name, p):
    made = trace(primitive, name, p=p)
    root, words = drawn(made, "grid"), Words(made)
    wanted = []
    for beat in range(made.beats + 1):
        state = made.held_at(beat)
        if beat and state == made.held_at(beat - 1):
            continue
        told = said(group(root, f"grid-{beat}"), "desc").split("; ")
        for rank, row in enumerate(state):
            cells = [(part, values) for part, values in enumerate(row) if values]
            held = [f"{made.parts[part].name}: {words.cell(part, v)}" for part, v in cells]
            assert told[rank] == f"rank {rank} holds {', '.join(held) or 'nothing'}"
            wanted += [words.cell(part, values).strip("[]") for part, values in cells]
    found = texts(root)
    for text in set(wanted):
        assert found.count(text) >= wanted.count(text)


@pytest.mark.parametrize(("primitive", "name", "p"), SOME)
def test_graph_and_traffic_have_the_links_of_the_trace(primitive, name, p):
    made = trace(primitive, name, p=p)
    root = drawn(made, "graph", "traffic")
    sums = {}
    for message in made.messages:
        pair = f"{message.source} -> {message.dest}"
        sums[pair] = sums.get(pair, 0) + message.nbytes
    told = dict(
        link.split(": ") for link in said(group(root, "traffic"), "desc").split("; ") if link
    )
    assert told.keys() == sums.keys()
    if primitive != "barrier":
        assert all(told[pair] == f"{number} B" for pair, number in sums.items())
    panels = [g for g in root.iter(f"{SVG}g") if (g.get("id") or "").startswith("phase-")]
    links = [link.split(": ") for panel in panels for link in said(panel, "desc").split("; ")]
    assert {pair for pair, _ in links} == sums.keys()
    assert sum(int(text.split()[0]) for _, text in links) == len(made.messages)


def test_svg_is_described_and_its_text_is_text():
    made = trace("allreduce", "ring", p=5)
    root = drawn(made, *KINDS)
    assert root.get("role") == "img" and root.get("aria-labelledby") == "picture-title picture-desc"
    assert said(root).startswith("allreduce.ring, p = 5, n = 40 B: space-time diagram")
    told = said(root, "desc")
    for message in made.messages:
        assert Words(made).message(message) in told
    found = texts(root)
    assert {"allreduce.ring", "(a)", "(d)", "critical path", "0-4", "64"} <= set(found)
    sizes = [float(size) for size in re.findall(r"([\d.]+)px", ET.tostring(root, "unicode"))]
    assert len(sizes) == len(found) and min(sizes) >= 6
    assert not list(root.iter(f"{SVG}metadata"))


@pytest.mark.parametrize("width", WIDTHS)
def test_sizes(width):
    made = trace("allreduce", "rabenseifner", p=16)
    for kind in KINDS:
        root = drawn(made, kind, width=width)
        wide, high = (
            float(root.get(side).removesuffix("pt")) * 25.4 / 72 for side in ("width", "height")
        )
        assert wide == pytest.approx(width, abs=0.01) and high < 230


def test_files_are_always_the_same(tmp_path):
    arguments = ["allreduce", "tree", "-p", "4", "--kind", "spacetime,graph", "--mm", "84"]
    for form in FORMS:
        arguments += [f"--{form}", str(tmp_path / f"picture.{form}")]
    assert main(["explain", *arguments]) == 0
    found = [(tmp_path / f"picture.{form}").read_bytes() for form in FORMS]
    code = "import sys; from collectives.__main__ import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "explain", *arguments]
    subprocess.run(command, check=True, timeout=60, env={"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"})
    assert found == [(tmp_path / f"picture.{form}").read_bytes() for form in FORMS]
    svg, pdf, png = found
    assert b"/CIDFontType2" in pdf and b"/Type3" not in pdf and b"/CreationDate" not in pdf
    assert png.startswith(b"\x89PNG") and svg.startswith(b"<?xml")


def test_failures_are_drawn_and_marked(tmp_path, capsys):
    path = tmp_path / "stuck.svg"
    broken = str(ROOT / "examples/deadlock.py")
    made = [
        "explain",
        "--load",
        broken,
        "--rendezvous",
        "-p",
        "4",
        "--kind",
        "spacetime,grid,graph",
    ]
    assert main([*made, "--svg", str(path)]) == 1
    root = ET.parse(path).getroot()
    assert "Here it stops: ranks wait, and nobody will wake them" in texts(root)
    for rank in range(4):
        assert (
            said(group(root, f"failure-{rank}-1"))
            == f"rank {rank} waits for ever: send to {(rank + 1) % 4}"
        )
        assert "waits" in said(group(root, f"message-{rank}"))
    assert "wait" in said(root, "desc").splitlines()[-1]


def test_wrong_answers_are_marked(tmp_path):
    file = tmp_path / "wrong.py"
    file.write_text(
        "from collectives.algorithms.language import *\n\n"
        "@algorithm('bcast')\ndef forgetful(rank, p, buf, root):\n"
        '    """Forgets the last rank.\n\n    Cost: alpha\n    Restrictions: none\n'
        '    Reference: x\n    """\n'
        "    if rank == root:\n        yield [send(buf, dest) for dest in range(1, p - 1)]\n"
        "    elif rank < p - 1:\n        yield recv(buf, root)\n"
    )
    path = tmp_path / "wrong.svg"
    arguments = [
        "explain",
        "bcast",
        "forgetful",
        "--load",
        str(file),
        "-p",
        "4",
        "--svg",
        str(path),
    ]
    assert main([*arguments, "--kind", "spacetime,grid"]) == 1
    root = ET.parse(path).getroot()
    assert said(group(root, "failure-3-1")) == "rank 3 goes wrong" and "wrong" in texts(root)


def test_a_measured_trace_says_so():
    made = replace(trace("bcast", "tree", p=3), origin="measured")
    assert said(drawn(made, "spacetime")).startswith(
        "bcast.tree, p = 3, n = 24 B, root = 0, measured"
    )


def test_nothing_of_a_user_is_markup():
    made = replace(
        trace("bcast", "tree", p=3), summary="<script>alert(1)</script> & \x00 \u7269 $x$"
    )
    [content] = picture(made, ["spacetime"], 84, ["svg"])
    assert b"<script" not in content
    assert "<script>alert(1)</script> & ? \u7269 $x$" in said(ET.fromstring(content), "desc")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kind", "pie"], "--kind must be of spacetime, grid, graph, traffic, got 'pie'"),
        (["--mm", "100"], "--mm must be 84 or 174, got '100'"),
        (["-p", "65"], "needs at most 64 ranks to be drawn, got 65"),
        (["--rank", "0"], "a picture shows all that happened, got --rank"),
        (["--all"], "a picture shows all that happened, got --all"),
        (["--html", "x.html"], "one of --html and a picture, got both"),
        (["tree"], "a picture needs one algorithm, got 2"),
    ],
)
def test_bad_input(arguments, message, tmp_path, capsys):
    path = tmp_path / "x.svg"
    assert main(["explain", "allreduce", "ring", *arguments, "--svg", str(path)]) == 2
    assert message in capsys.readouterr().err and not path.exists()


def test_bad_files(tmp_path, capsys):
    for path in (tmp_path, tmp_path / "none" / "x.svg"):
        for form in FORMS:
            assert main(["explain", "allreduce", f"--{form}", str(path)]) == 2
            assert f"--{form}: a f" in capsys.readouterr().err
    assert main(["explain", "allreduce", "--kind", "grid"]) == 2
    assert "--kind is for pictures" in capsys.readouterr().err


def test_too_much_for_a_picture(monkeypatch):
    made = trace("bcast", "ring", p=5)
    monkeypatch.setattr(sheet, "MOST_MESSAGES", 3)
    monkeypatch.setattr(sheet, "MOST_CELLS", 24)
    with pytest.raises(ArgumentError, match="at most 3 messages, got 4; choose fewer"):
        picture(made, ["spacetime"], 174, ["svg"])
    with pytest.raises(ArgumentError, match="at most 24 cells in all rounds, got 35; choose fewer"):
        picture(made, ["grid"], 174, ["svg"])


def test_matplotlib_is_needed_for_pictures_only(tmp_path):
    code = """\
import sys
sys.modules["matplotlib"] = None
from collectives.__main__ import main
assert main(["explain", "bcast", "-p", "2"]) == 0
sys.exit(main(["explain", "bcast", "-p", "2", "--svg", sys.argv[1]]))"""
    command = [sys.executable, "-c", code, str(tmp_path / "x.svg")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert (
        "pictures need matplotlib, got none; pip install 'mpi-collectives[pictures]'" in done.stderr
    )


def outline(path):
    """A picture without the digits that matplotlib's versions may choose differently."""
    root = ET.parse(path).getroot()
    titles = [element.text for tag in ("title", "desc") for element in root.iter(f"{SVG}{tag}")]
    numbers = [
        float(number)
        for element in root.iter(f"{SVG}g")
        if (element.get("id") or "").startswith(("message-", "grid-"))
        for path in element.iter(f"{SVG}path")
        for number in re.findall(r"-?[\d.]+", path.get("d"))
    ]
    return titles, texts(root), numbers


def test_pictures_of_the_documents_are_those_of_the_code(tmp_path):
    commands = re.findall(
        r"-m collectives (explain .*) --svg (docs/\S+)", (ROOT / "Makefile").read_text()
    )
    assert {ROOT / path for _, path in commands} == {*(ROOT / "docs").glob("*.svg")}
    for arguments, path in commands:
        assert main([*arguments.split(), "--svg", str(tmp_path / "new.svg")]) == 0
        *told, numbers = outline(tmp_path / "new.svg")
        assert [*told, pytest.approx(numbers, abs=0.5)] == [*outline(ROOT / path)], (
            "run make pictures"
        )


def test_layouts():
    ring = [(rank, (rank + 1) % 6) for rank in range(6)]
    cube = [(rank, rank ^ 1 << bit) for rank in range(8) for bit in range(3)]
    assert fitting(6, ring) == RING and fitting(6, ring[:-1]) == LINE
    assert fitting(8, cube) == CUBE and fitting(5, [(0, k) for k in range(1, 5)]) == FOREST
    assert parents(5, [(4, 0), (4, 2), (2, 1)]) == [4, 2, 4, None, None]
    assert parents(4, [(0, 1), (1, 2), (2, 3)]) == [None, 0, 1, 2]  # all goes down from its root
    assert parents(3, [(0, 1), (1, 2), (2, 0)]) is None
    for layout, p, links in ((RING, 6, ring), (LINE, 6, ring[:-1]), (CUBE, 8, cube)):
        found = places(layout, p, links)
        assert len({*found}) == p and all(-1e-9 <= side <= 1 + 1e-9 for at in found for side in at)


def test_phases_are_the_statements_of_the_page():
    spans = {
        name: [phase.span for phase in phases(trace("allreduce", name, p=8))]
        for name in ("ring", "tree", "rabenseifner", "recursive_doubling")
    }
    assert spans == {
        "ring": ["2-8", "9-15"],
        "tree": ["2-4", "5-7"],
        "rabenseifner": ["2-4", "5-7"],
        "recursive_doubling": ["2-4"],
    }


def test_labels_do_not_lie_upon_each_other():
    taken = Places()
    assert taken.first([(5, 5)], 4, 2) == (5, 5)
    assert taken.first([(8, 6), (9.1, 5)], 4, 2) == (9.1, 5)
    assert taken.first([(7, 5), (5, 6)], 4, 2) is None
    assert not taken.free(5, 6.9, 100, 2)


def test_colours_differ_and_shades_grow():
    for total in (2, len(PALETTE), 17, 64):
        assert len({colour(number, total)[0] for number in range(total)}) == total
    light = [sum(int(shade(k / 64)[0][at : at + 2], 16) for at in (1, 3, 5)) for k in range(65)]
    assert light == sorted(light, reverse=True) and len({*light}) == 65


@pytest.mark.slow
@pytest.mark.parametrize("chosen", ALGORITHMS, ids=str)
def test_everything_can_be_drawn(chosen):
    for p in (1, 5, 8, 16, 33):
        try:
            check_restrictions(chosen, p)
        except RestrictionError:
            continue
        for width in WIDTHS:
            picture(trace(chosen.primitive, chosen.name, p=p), KINDS, width, ["svg"])
