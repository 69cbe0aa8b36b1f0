"""The page: one file that shows algorithms round by round, without any network.

Everything it needs is in it: schedules, sources and strings as deflated JSON, the style, a
small library (`page/vendor`) and the modules of `page/app`, joined. Nothing of an algorithm,
which may be a user's, is ever HTML or code there: the page makes text of the JSON, and its
policy lets no other script run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from collectives.algorithms import REGISTRY
from collectives.catalogue import find, titled
from collectives.engines.simulator import Clock
from collectives.errors import ArgumentError
from collectives.explain.schedule import RANKS, Recorder
from collectives.explain.sources import Sources
from collectives.study.bounds import bounds
from collectives.study.pricing import DECLARED_CLOCK

# What the reader can choose from; the page has a name for each in its languages.
MACHINES = {
    "cluster": Clock(2e-6, 1e-10, 5e-11),
    "laptop": DECLARED_CLOCK,
    "simulator": Clock(),
    "messages": Clock(1e-6, 0, 0),
    "bytes": Clock(0, 1e-9, 0),
}
LANGUAGES = "en", "zh"

# The modules of the page, each after those that it imports.
MODULES = (
    *("html", "words", "colours", "engine", "data", "state", "layouts", "film", "grid", "network"),
    *("spacetime", "source", "counters", "story", "controls", "picture", "app"),
)
LIBRARY = "htm-preact-3.1.1.umd.js"


def page(
    primitive: str,
    names: Sequence[str] = (),
    *,
    p: int = 5,
    n: int = 1 << 20,
    root: int = 0,
    lang: str = "en",
) -> str:
    """The page of a primitive's algorithms.

    Parameters
    ----------
    primitive : str
    names : sequence of str
        One or two algorithms, perhaps with parameters, as in `collectives.find`: shown first,
        side by side. The others can be chosen in the page.
    p : int
        Number of ranks shown first.
    n : int
        Bytes of the whole vector, shown first.
    root : int
    lang : str
        One of `LANGUAGES`, shown first.

    Returns
    -------
    str
        An HTML document.

    Raises
    ------
    ArgumentError
        More than two names, or a p of which the page has no schedules.
    """
    if not 1 <= len(names) <= 2:
        raise ArgumentError(
            f"{primitive}: a page needs one or two algorithms to show first, got {len(names)}; "
            "name one or two"
        )
    if p not in RANKS:
        raise ArgumentError(
            f"{primitive}: a page is for {RANKS[0]} to {RANKS[-1]} ranks, got {p}; choose -p there"
        )
    data = {
        "primitive": primitive,
        "reduces": primitive in ("reduce", "allreduce", "reduce_scatter", "scan", "exscan"),
        "shown": list(names),
        "p": p,
        "n": n,
        "lang": lang,
        "algorithms": _algorithms(primitive, names, root),
        "bounds": {ranks: _shares(primitive, ranks) for ranks in RANKS},
        "machines": [
            {"name": name, "alpha": clock.alpha, "beta": clock.beta, "gamma": clock.gamma}
            for name, clock in MACHINES.items()
        ],
        "languages": {lang: json.loads(_text(f"words/{lang}.json")) for lang in LANGUAGES},
    }
    title = ", ".join(f"{primitive}.{name}" for name in names)
    return document(title, data)


def document(title: str, data: Any) -> str:
    """The HTML around the data."""
    packed = zlib.compress(json.dumps(data, separators=(",", ":")).encode(), 9)
    scripts = _text(f"vendor/{LIBRARY}"), application()
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    values = {
        "title": escape(title),
        "policy": f"default-src 'none'; style-src 'unsafe-inline'; script-src {hashes}",
        "style": _text("page.css"),
        "pictures": _text("picture.css"),
        "data": base64.b64encode(packed).decode(),
        "library": scripts[0],
        "application": scripts[1],
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], _text("page.html"))


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def _text(name: str) -> str:
    return files("collectives.explain").joinpath("page", *name.split("/")).read_text("utf-8")


@cache
def application() -> str:
    """The modules of the page as one: each in a function of its own, which returns what it exports."""
    joined = []
    for name in MODULES:
        text = re.sub(r'^import (\{.+\}) from "\./(\w+)\.js";$', r"const \1 = $\2;", _text(f"app/{name}.js"), flags=re.M)
        if name == MODULES[-1]:
            return "\n".join([*joined, text])
        exported = re.findall(r"^export (?:async )?(?:function|const) (\w+)", text, re.M)
        exported += re.findall(r"^export const \{ (.+) \} =", text, re.M)
        exported += re.findall(r"^export const \w+ = .+, (\w+) = ", text, re.M)
        text = re.sub(r"^export ", "", text, flags=re.M)
        joined.append(f"const ${name} = (() => {{\n{text}return {{ {', '.join(exported)} }};\n}})();")
    raise AssertionError


def _algorithms(primitive: str, names: Sequence[str], root: int) -> dict[str, Any]:
    """All algorithms of a primitive, and those that are named with parameters."""
    specs = dict.fromkeys([*names, *REGISTRY[primitive]])
    return {spec: _algorithm(primitive, spec, root) for spec in specs}


@cache
def _algorithm(primitive: str, spec: str, root: int) -> dict[str, Any]:
    algorithm, parameters = find(primitive, spec)
    recorder = Recorder(algorithm, parameters, root)
    runs = {p: run for p in RANKS if (run := recorder.run(p)) is not None}
    sources = Sources(algorithm)
    places = [[sources.place(*line) for line in place] for place in recorder.places]
    return {
        "title": titled(primitive, spec),
        "summary": algorithm.summary,
        "text": sources.docstring,
        "restrictions": algorithm.restrictions,
        "code": sources.code,
        "places": places,
        "runs": runs,
    }


def _shares(primitive: str, p: int) -> dict[str, float]:
    """The lower bounds: of latency in messages, of the others in whole vectors."""
    n = p * p
    return {
        term: value if term == "latency" else value / n
        for term, value in bounds(primitive, p, n).items()
    }
