"""How the page is put together: size, words, library, command and gallery."""

import base64
import hashlib
import json
import re
import shutil
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import NEED, chromium

from collectives import PRIMITIVES
from collectives.__main__ import main
from collectives.algorithms import REGISTRY
from collectives.explain import html
from collectives.explain.gallery import index, write
from collectives.explain.html import LANGUAGES, LIBRARY, MODULES, application, page, text
from collectives.explain.schedule import RANKS

PAGE = Path(html.__file__).with_name("page")

pytestmark = pytest.mark.usefixtures("registry")


def data(document, which):
    packed = re.search(f'id="{which}">(.*?)</script>', document)[1]
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def test_all_is_in_it():
    made = page("scan", ["tree"])
    assert not re.search(r"""(src|href)=["'](?!\$)""", made.replace(text(f"vendor/{LIBRARY}"), ""))
    algorithms = data(made, "schedules")
    assert list(algorithms) == list(REGISTRY["scan"])
    assert all(set(one["runs"]) == {str(p) for p in RANKS} for one in algorithms.values())


def test_policy_lets_nothing_else_run():
    made = page("barrier", ["tree"])
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', made)[1]
    scripts = re.findall(r"<script>(.*?)</script>", made, re.S)
    digests = [base64.b64encode(hashlib.sha256(x.encode()).digest()).decode() for x in scripts]
    assert len(scripts) == 2 and all(f"'sha256-{digest}'" in policy for digest in digests)
    assert "default-src 'none'" in policy and "script-src 'sha256" in policy
    assert "unsafe-eval" not in policy and policy.count("unsafe-inline") == 1


def test_every_language_says_everything():
    words = {language: json.loads(text(f"words/{language}.json")) for language in LANGUAGES}
    english = words["en"]
    for language, strings in words.items():
        assert list(strings) == list(english), language
        for key, string in strings.items():
            holes = [set(re.findall(r"\{(\w+)\}", x)) for x in (string, english[key])]
            assert holes[0] <= holes[1] | {"count"}, f"{language}: {key}"
    said = re.findall(r'say\((?:[^")]*\? )?"([\w.]+)"(?: : "([\w.]+)")?', application())
    assert {key for pair in said for key in pair if key} <= set(english)


def test_modules_are_all_and_in_order():
    seen = set()
    assert sorted(path.stem for path in (PAGE / "app").iterdir()) == sorted(MODULES)
    for name in MODULES:
        used = set(re.findall(r'from "\./(\w+)\.js"', text(f"app/{name}.js")))
        assert used <= seen, name
        seen.add(name)
        assert max(map(len, text(f"app/{name}.js").splitlines())) <= 120, name
    assert "import " not in re.sub(r"//.*", "", application()).replace("important", "")


def test_library_is_what_its_note_says():
    note = text("vendor/README.txt")
    digest = hashlib.sha256(text(f"vendor/{LIBRARY}").encode()).hexdigest()
    assert digest in note and LIBRARY in note


def test_command_writes_a_page(tmp_path, capsys):
    path = tmp_path / "two.html"
    assert main(["explain", "scan", "ring", "tree:", "-p", "6", "--html", str(path)]) == 0
    assert "open it in a browser" in capsys.readouterr().out
    settings = data(path.read_text(encoding="utf-8"), "settings")
    assert settings["shown"] == ["ring", "tree:"] and settings["p"] == 6


def test_default_algorithm_and_clock(tmp_path):
    path = tmp_path / "one.html"
    assert main(["explain", "scatter", "--alpha", "1e-3", "-n", "8", "--html", str(path)]) == 0
    settings = data(path.read_text(encoding="utf-8"), "settings")
    assert settings["machines"][0]["name"] == "given"
    assert settings["machines"][0]["alpha"] == 1e-3 and settings["n"] == 8
    assert settings["shown"][0].partition(":")[0] in REGISTRY["scatter"]


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["allreduce", "ring", "-p", "17"], "a page has p from 2 to 16, got 17"),
        (["bcast", "tree", "--root", "5"], "root must be a rank from 0 to 4, got 5"),
        (["allreduce", "ring", "tree", "naive"], "one algorithm, or two side by side, got 3"),
        (["allreduce", "rink"], "the name of an algorithm is needed, got 'rink'"),
        (["gather", "tree", "--counts", "1,2,3,4,5"], "a page has even blocks, got --counts"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence, tmp_path, capsys):
    assert main(["explain", *arguments, "--html", str(tmp_path / "x.html")]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1


def test_a_file_that_cannot_be_written(tmp_path, capsys):
    assert main(["explain", "bcast", "tree", "--html", str(tmp_path / "no" / "x.html")]) == 2
    assert "a file that can be written is needed" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["gallery", str(tmp_path / "file")]) == 2
    assert "a folder that can be written is needed" in capsys.readouterr().err


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.ids = [], set()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids.add(attributes.get("id"))
        if tag == "a":
            self.links.append(attributes["href"])


def test_index_leads_to_every_algorithm():
    found = Links()
    found.feed(index())
    pages = {x for x in found.links if not x.startswith("#")}
    assert pages == {f"{x}/{name}.html" for x, names in REGISTRY.items() for name in names}
    assert {x[1:] for x in found.links if x.startswith("#")} == set(PRIMITIVES) <= found.ids


@pytest.mark.slow
def test_gallery(tmp_path):
    written = list(write(tmp_path / "gallery"))
    assert len(written) == 1 + sum(map(len, REGISTRY.values()))
    for path in written[:-1]:
        made = path.read_text(encoding="utf-8")
        assert len(made.encode()) < 300_000 and data(made, "settings")["home"] == "../index.html"


def test_without_a_browser(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv(NEED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="the page is not tested: needs"):
        next(chromium())
    monkeypatch.setenv(NEED, "1")
    with pytest.raises(pytest.fail.Exception, match="install"):
        next(chromium())
