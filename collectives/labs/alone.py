"""Start the student's process: without the library's pages, and with limits that hold.

It must be the first of `collectives` that the process imports: `collectives.algorithms` is then
a package without the pages that its folder has, so that nobody can run one of ours by its name.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from types import ModuleType

PACKAGE = "collectives.algorithms"


def without_pages() -> None:
    """Let `collectives.algorithms` be a package of which nothing has been run."""
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None and spec.submodule_search_locations is not None
    package = ModuleType(PACKAGE)
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[PACKAGE] = package


def main() -> None:
    """Read what is asked from stdin, and hand the rounds over."""
    request = json.loads(sys.stdin.buffer.readline())
    without_pages()
    from collectives.labs.inside import serve

    serve(request)
