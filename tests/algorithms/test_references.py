"""The literature: every citation leads to a work, and every work can be found."""

import re

import pytest

from collectives.__main__ import main
from collectives.algorithms import PRIMITIVES, REGISTRY
from collectives.references import FILE, PLACES, Work, cited, labels, works
from collectives.study.bounds import TOGETHER, bounds_of
from collectives.study.optimality import literature

ALGORITHMS = [algorithm for names in REGISTRY.values() for algorithm in names.values()]
BOUNDS = [bound for primitive in PRIMITIVES for bound in bounds_of(primitive).values()]

every_work = pytest.mark.parametrize("work", works().values(), ids=lambda work: work.key)


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=str)
def test_the_reference_line_cites_works_that_there_are(algorithm):
    assert algorithm.reference
    assert [label for label in labels(algorithm.reference) if label not in works()] == []


def test_bounds_cite_works_that_there_are():
    for bound in BOUNDS:
        assert [label for label in labels(bound.reference) if label not in works()] == []
    for text in TOGETHER.values():
        for label in re.findall(r"\(([^()]+ \d{4}[a-z]?)\)", text):
            assert label in works()


@every_work
def test_a_work_has_what_it_takes_to_find_it(work):
    assert work.fields["author"] and work.fields["title"]
    assert set(work.fields) & set(PLACES)
    if "year" in work.fields:
        assert re.fullmatch(r"(19|20)\d\d", work.fields["year"])
        assert re.match(r"[A-Za-z]+" + work.fields["year"] + "[a-z]?$", work.key)
        assert set(work.fields) & {"journal", "booktitle", "institution", "publisher", "eprint"}
    assert re.fullmatch(r"10\.\d{4,}/\S+", work.fields.get("doi", "10.1000/none"))
    assert re.fullmatch(r"\d{4}\.\d{5}", work.fields.get("eprint", "0000.00000"))


@every_work
def test_a_work_is_cited(work):
    assert any(work in cited(each.reference) for each in [*ALGORITHMS, *BOUNDS])


def test_nothing_in_the_file_is_overlooked():
    """What the reader understood, written anew, is the file: no entry, no field is lost."""
    text = FILE.read_text(encoding="utf-8")
    assert "\n".join(work.bibtex for work in works().values()) == text
    keys = re.findall(r"^@\w+\{(.+),$", text, re.M)
    assert keys == sorted(set(keys), key=str.lower) and len(works()) == len(keys)


def test_labels():
    def label(author, key, **fields):
        return Work(key, "misc", {"author": author, "title": "{A} title", **fields}).label

    assert label("One, A.", "One1999", year="1999") == "One 1999"
    assert label("One, A. and van Two, B.", "One1999b", year="1999") == "One, van Two 1999b"
    assert label("A, B and C, D and E, F and G, H", "A2001", year="2001") == "A et al. 2001"
    assert label("{The makers}", "Tool") == "A title"


def test_a_line_may_qualify_what_it_cites():
    line = "after Träff 2024 (the skips, not the rest); folklore; Open MPI (ring_segmented)"
    assert labels(line) == ["Träff 2024", "Open MPI"]
    assert [work.key for work in cited(line)] == ["Traeff2024", "OpenMPI"]
    assert labels("folklore") == [] and labels("somebody, somewhere") == ["somebody, somewhere"]
    assert cited("somebody, somewhere, 1999") == []  # a user's own


def test_list_prints_bibtex(capsys):
    assert main(["list", "--bibtex"]) == 0
    assert capsys.readouterr().out == FILE.read_text(encoding="utf-8")
    assert main(["list", "--bibtex", "barrier"]) == 0
    keys = re.findall(r"^@\w+\{(.+),$", capsys.readouterr().out, re.M)
    assert "Hensgen1988" in keys and "Patarasuk2009" not in keys
    assert keys == [work.key for work in literature(["barrier"])]


def test_list_ends_with_the_titles(capsys):
    assert main(["list", "allgather"]) == 0
    lines = capsys.readouterr().out.splitlines()
    [line] = [line for line in lines if line.startswith("Loch, Koslovski 2021")]
    assert "Sparbit: a new logarithmic-cost" in line
