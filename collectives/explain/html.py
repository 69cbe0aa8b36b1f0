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
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from collectives.algorithms import REGISTRY
from collectives.algorithms.language import registry
from collectives.algorithms.language.registry import AUTO, REDUCTIONS, ROOTED
from collectives.catalogue import find, titled
from collectives.choice import decide
from collectives.errors import ArgumentError
from collectives.explain.listing import Listing
from collectives.explain.schedule import RANKS, Recorder
from collectives.machine.clock import Clock
from collectives.study.bounds import bounds
from collectives.study.pricing import DECLARED_CLOCK

# What the reader can choose from; the page has a name for each in its languages.
MACHINES = {
    "cluster": Clock(2e-6, 1e-10, 5e-11),
    "computer": DECLARED_CLOCK,
    "simulator": Clock(),
    "messages": Clock(1e-6, 0, 0),
    "bytes": Clock(0, 1e-9, 0),
}
GIVEN = "given"
LANGUAGES = "en", "zh"

# Bytes of the whole vector that are shown first.
LENGTH = 1 << 20

LIBRARY = "htm-preact-3.1.1.umd.js"

# The modules of the page, each after those that it imports.
MODULES = (
    "html words colours engine data state layouts film grid network spacetime source counters "
    "story picture panel controls keys player app"
).split()


def page(
    primitive: str,
    names: Sequence[str],
    *,
    p: int = 5,
    n: int = LENGTH,
    root: int = 0,
    clock: Clock | None = None,
    home: str = "",
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
        Bytes of the whole vector shown first.
    root : int
    clock : Clock, optional
        One more machine to choose from, shown first.
    home : str
        Where to find the other pages, if there are any.

    Returns
    -------
    str
        An HTML document.

    Raises
    ------
    ArgumentError
        There are not one or two names, or the page has no schedule for this p or root.
    UnknownAlgorithm
        There is no such algorithm.
    """
    _check(primitive, names, p, root)
    shown = tuple(_settled(primitive, name, p, n) for name in names)
    machines = {GIVEN: clock, **MACHINES} if clock else MACHINES
    settings = {
        "primitive": primitive,
        "reduces": primitive in REDUCTIONS,
        "mixes": primitive in REDUCTIONS or primitive in ("barrier", "alltoall"),
        "shown": shown,
        "p": p,
        "n": n,
        "home": home,
        "bounds": {ranks: _shares(primitive, ranks) for ranks in RANKS},
        "machines": [{"name": name, **asdict(clock)} for name, clock in machines.items()],
        "languages": {lang: json.loads(text(f"words/{lang}.json")) for lang in LANGUAGES},
    }
    title = ", ".join(f"{primitive}.{name}" for name in shown)
    named = tuple(name for name in shown if name not in REGISTRY[primitive])
    schedules = _schedules(primitive, named, root, registry.revision)
    return _document(title, _packed(settings), schedules)


def _check(primitive: str, names: Sequence[str], p: int, root: int) -> None:
    ranks = f"from {RANKS[0]} to {RANKS[-1]}"
    if not 1 <= len(names) <= 2:
        raise ArgumentError(
            f"{primitive}: a page shows one algorithm, or two side by side, got {len(names)}; "
            "name one or two"
        )
    if p not in RANKS:
        raise ArgumentError(f"{primitive}: a page has p {ranks}, got {p}; choose such a -p")
    if primitive in ROOTED and not 0 <= root < p:
        raise ArgumentError(f"{primitive}: root must be a rank from 0 to {p - 1}, got {root}")


def _settled(primitive: str, name: str, p: int, n: int) -> str:
    """The algorithm that a name stands for, with parameters if it has some.

    A page knows no nodes: `auto` is what it is where all ranks are on one.
    """
    if name != AUTO:
        find(primitive, name)  # raises if there is none
        return name
    algorithm, parameters = decide(*find(primitive, name), p, n, True, nodes=1)
    options = ",".join(f"{key}={value}" for key, value in parameters.items())
    return f"{algorithm.name}:{options}" if options else algorithm.name


def _document(title: str, settings: str, schedules: str) -> str:
    """The HTML around the data."""
    scripts = text(f"vendor/{LIBRARY}"), application()
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    values = {
        "title": escape(title),
        "policy": f"default-src 'none'; style-src 'unsafe-inline'; script-src {hashes}",
        "style": text("page.css"),
        "pictures": text("picture.css"),
        "settings": settings,
        "schedules": schedules,
        "library": scripts[0],
        "application": scripts[1],
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], text("page.html"))


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def text(name: str) -> str:
    """A file of the page."""
    return files("collectives.explain").joinpath("page", *name.split("/")).read_text("utf-8")


@cache
def application() -> str:
    """The modules of the page as one script.

    Each becomes a function that is called at once and returns what the module exports; an
    import takes what it needs from there.
    """
    imports = re.compile(r'^import (\{[^}]+\}) from "\./(\w+)\.js";$', re.M)
    exports = re.compile(r"^export (?=(?:async )?(?:function|const) (\w+|\{[^}]+\}))", re.M)
    joined = []
    for name in MODULES:
        module = imports.sub(r"const \1 = $\2;", text(f"app/{name}.js"))
        names = ", ".join(found.strip("{} ") for found in exports.findall(module))
        body = exports.sub("", module)
        joined.append(f"const ${name} = (() => {{\n{body}return {{ {names} }};\n}})();")
    return "\n".join([*joined, "$app.start();\n"])


def _packed(data: Any) -> str:
    plain = json.dumps(data, separators=(",", ":")).encode()
    return base64.b64encode(zlib.compress(plain, 9)).decode()


@cache
def _schedules(primitive: str, named: tuple[str, ...], root: int, revision: int) -> str:
    """All algorithms of a primitive, and those that are named with parameters, packed.

    What was packed before a file was loaded is not used afterwards: `revision` has grown.
    """
    return _packed(
        {spec: _algorithm(primitive, spec, root) for spec in (*named, *REGISTRY[primitive])}
    )


def _algorithm(primitive: str, spec: str, root: int) -> Mapping[str, Any]:
    """One algorithm: its words, its source, and its schedule for every p."""
    algorithm, parameters = find(primitive, spec)
    recorder = Recorder(algorithm, parameters, root)
    runs = {p: run for p in RANKS if (run := recorder.run(p)) is not None}
    listing = Listing(algorithm)
    return {
        "title": titled(primitive, spec),
        "summary": algorithm.summary,
        "text": listing.docstring,
        "restrictions": algorithm.restrictions,
        "places": [[listing.place(*line) for line in place] for place in recorder.places],
        "code": listing.code,
        "runs": runs,
    }


def _shares(primitive: str, p: int) -> dict[str, float]:
    """The lower bounds: of latency in messages, of the others in whole vectors."""
    n = p * p
    return {
        term: value if term == "latency" else value / n
        for term, value in bounds(primitive, p, n).items()
    }
