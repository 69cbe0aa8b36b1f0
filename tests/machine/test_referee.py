"""SimGrid as a referee: the same messages over the same links take the same time.

It is a package of the system's Python (Debian, Ubuntu: `apt install python3-simgrid`). Where that
is missing the tests are skipped, or fail if COLLECTIVES_NEED_SIMGRID is set.
"""

import json
import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

from collectives import trace
from collectives.machine import machine

PYTHON = "/usr/bin/python3"
REFEREE = Path(__file__).with_name("referee.py")


@cache
def there():
    found = (
        Path(PYTHON).exists()
        and not subprocess.run(
            [PYTHON, "-c", "import simgrid"], capture_output=True, timeout=60
        ).returncode
    )
    if not found and os.environ.get("COLLECTIVES_NEED_SIMGRID"):
        pytest.fail(f"the referee needs simgrid in {PYTHON}; apt install python3-simgrid")
    return found


def judged(made, described):
    """When the last message of a trace has come, by SimGrid."""
    if not there():
        pytest.skip(f"needs simgrid in {PYTHON}: apt install python3-simgrid")
    given = machine(described)
    p = made.setting.p
    placed = given.at(p)
    routes = {}
    for message in made.messages:
        pair = message.source, message.dest
        near = placed is not None and placed.groups[pair[0]] == placed.groups[pair[1]]
        way = given.way(near)
        links = () if placed is None else placed.route(*pair)
        routes[pair] = [*pair, links, way.first, 1 / way.byte]
    question = {
        "hosts": p,
        "links": [] if placed is None else [link.rate for link in placed.links],
        "routes": list(routes.values()),
        "messages": [
            [message.source, message.dest, message.nbytes, before(made, message)]
            for message in made.messages
        ],
    }
    answer = subprocess.run(
        [PYTHON, REFEREE], input=json.dumps(question), capture_output=True, text=True, timeout=100
    )
    assert answer.returncode == 0, answer.stderr
    return max(json.loads(answer.stdout))


def before(made, message):
    """The messages of the last round of its source that had any."""
    for round_ in reversed(made.ranks[message.source].rounds[: message.sent - 1]):
        if round_.sends or round_.recvs:
            return [*round_.sends, *round_.recvs]
    return []


def agree(name, n, described, within):
    spec = f"{described},gamma=0s"
    p = machine(spec).p or 16
    made = trace("allreduce", name, p=p, n=n, topology=spec)
    answer = judged(made, spec)
    assert made.time == pytest.approx(answer, rel=within)
    return made.time


@pytest.mark.parametrize("name", ["ring", "recursive_doubling", "swing"])
def test_without_sharing(name):
    agree(name, 10**6, "flat,latency=3us,rate=10G", 1e-9)


@pytest.mark.parametrize("placement", ["block", "random:1"])
@pytest.mark.parametrize("upper", [8, 2])
def test_fat_tree(upper, placement):
    spec = f"fattree:8x8x{upper},nic=10G,latency=1us,placement={placement}"
    agree("recursive_doubling", 8 * 10**6, spec, 1e-9)


@pytest.mark.parametrize("placement", ["block", "random:1"])
@pytest.mark.parametrize(
    "form", ["4x4x1", *[pytest.param(f"8x8x{k}", marks=pytest.mark.slow) for k in (2, 8)]]
)
def test_fat_tree_and_ring(form, placement):
    spec = f"fattree:{form},nic=10G,latency=1us,placement={placement}"
    agree("ring", 64 * 10**6, spec, 1e-9)


@pytest.mark.parametrize("name", ["ring", "recursive_doubling", "rabenseifner"])
@pytest.mark.parametrize("rest", ["nodes:4x4", "nodes:4x4,placement=cyclic", "nodes:4x4,nics=2"])
def test_shared_nics(name, rest):
    agree(name, 10**7, f"{rest},nic=25G,latency=10us", 1e-9)


@pytest.mark.parametrize("kind", ["torus:4x4", "ring:16", "dragonfly:4x2x2"])
def test_other_networks(kind):
    agree("recursive_doubling", 10**7, f"{kind},nic=25G,latency=10us", 1e-9)
