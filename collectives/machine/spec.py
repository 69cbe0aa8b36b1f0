"""Machines in words: a line such as `nodes:8x8,nic=25G,latency=10us`, a preset, or a file.

All three are keys with values, and mean the same. A value has its unit with it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from collectives.errors import ArgumentError
from collectives.units import parse_bytes, parse_rate, parse_seconds

from .clock import GAMMA, Clock, LogGP
from .model import TITLE, Machine
from .networks import Dragonfly, FatTree, Network, Star, Torus

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PRESETS = Path(__file__).with_name("presets.toml")

# Of messages within a node, where nobody says what they cost.
NEAR = Clock(alpha=5e-7, beta=1e-10)


def machine(description: Any) -> Machine:
    """A machine from a line, a preset's name, or the path of a TOML file.

    Parameters
    ----------
    description : str, path or Machine
        A line is the network, then what else there is to say: ``nodes:8x8,nic=25G``.
        A file has the same keys, one a line; docs/machines.md has them all.

    Raises
    ------
    ArgumentError
        There is no such file or key, or a value is not what its key allows.

    Examples
    --------
    >>> machine("fattree:8x8x2,nic=10G,latency=1us").p
    64
    >>> machine("ethernet-10g,topology=nodes:8x4").clock.alpha
    2e-05
    """
    if isinstance(description, Machine):
        return description
    if isinstance(description, Path):
        return _from_file(description)
    if not isinstance(description, str):
        raise ArgumentError(f"{TITLE}: needs a line, a preset or a file, got {description!r}")
    first, *rest = (part.strip() for part in description.split(","))
    if first in presets():
        return from_keys({**presets()[first], **_pairs(rest)})
    if first.partition(":")[0] in KINDS:
        return from_keys({"topology": first, **_pairs(rest)})
    if Path(first).suffix == ".toml" or Path(first).is_file():
        return _from_file(Path(first), _pairs(rest))
    names = [f"{kind}:{form}" for kind, form in FORMS.items()]
    raise ArgumentError(
        f"{TITLE}: begins with a network ({', '.join(names)}), a preset "
        f"({', '.join(presets())}) or a TOML file, got {first!r}"
    )


@cache
def presets() -> dict[str, dict[str, Any]]:
    """The machines that have names, as keys with values."""
    return tomllib.loads(PRESETS.read_text(encoding="utf-8"))


def _pairs(words: list[str]) -> dict[str, str]:
    """`key=value` each; a value with commas, a placement, stands in brackets."""
    text, pairs = ",".join(words), {}
    for word in re.findall(r"[^,\[]+(?:\[[^]]*\])?", text):
        key, equals, value = word.partition("=")
        if not equals:
            raise ArgumentError(f"{TITLE}: needs key=value after the network, got {word!r}")
        if key.strip() in pairs:
            raise ArgumentError(f"{TITLE}: {key.strip()} is given twice; leave one out")
        pairs[key.strip()] = value.strip()
    return pairs


def _from_file(path: Path, changes: Mapping[str, Any] | None = None) -> Machine:
    try:
        keys = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentError(
            f"{TITLE}: a file that can be read is needed, got {path} ({error.strerror})"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{TITLE}: a file in TOML is needed, got {path} ({error})") from None
    try:
        return from_keys({**keys, **(changes or {})})
    except ArgumentError as error:
        raise ArgumentError(f"{path}: {error}") from None


# Networks.

KINDS: dict[str, type[Network]] = {
    "flat": Network,
    "nodes": Star,
    "star": Star,
    "ring": Torus,
    "torus": Torus,
    "fattree": FatTree,
    "dragonfly": Dragonfly,
}
FORMS = {
    "flat": "",
    "nodes": "NODESxRANKS or xRANKS",
    "star": "NODES",
    "ring": "NODES",
    "torus": "AxBx...",
    "fattree": "LEAVESxNODESxUPPER",
    "dragonfly": "GROUPSxROUTERSxNODES",
}
_SIZES = {"star": 1, "ring": 1, "fattree": 3, "dragonfly": 3}


def _network(text: Any) -> tuple[Network | None, dict[str, Any]]:
    """The network of such a description, and the ranks on each node if it says so."""
    kind, _, form = str(text).partition(":")
    if kind not in KINDS:
        raise ArgumentError(f"{TITLE}: topology must be one of {', '.join(KINDS)}, got {text!r}")
    if kind == "flat" and not form:
        return None, {}
    anyhow = kind == "nodes" and form.startswith("x")  # as many nodes as it takes
    shape = form[anyhow:].split("x")
    right = all(re.fullmatch(r"[1-9]\d{0,8}", size) for size in shape)
    needed = 2 - anyhow if kind == "nodes" else _SIZES.get(kind, len(shape))
    if kind == "flat" or not right or len(shape) != needed:
        raise ArgumentError(
            f"{TITLE}: topology must be {kind}:{FORMS[kind]} with numbers from 1 on, got {text!r}"
            if FORMS[kind]
            else f"{TITLE}: topology flat has no numbers, got {text!r}"
        )
    sizes = tuple(map(int, shape))
    if kind == "nodes":
        return Star(sizes[:-1]), {"ranks": sizes[-1]}
    return KINDS[kind](sizes), {}


# Keys.


@dataclass(frozen=True)
class Key:
    """What a key of a machine's description may have as its value."""

    read: Callable[[str], Any]
    what: str


_RATE = Key(parse_rate, "a rate above 0, as 25G (bits a second), 25 Gbit/s, 3 GB/s or inf")
_TIME = Key(parse_seconds, "a time from 0 on, as 10us, 0.5 ms or 2e-6 s")
_EACH = Key(
    lambda text: parse_seconds(text.removesuffix("/B")),
    "a time for a byte, as 0.06 ns/B or 6e-11 s/B",
)


def _number(text: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text):
        raise ValueError(text)
    return int(text)


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share < 1000:
        raise ValueError(text)
    return share


def _places(text: str) -> Any:
    if text.startswith("["):
        return tuple(int(place) for place in text.strip("[]").split(","))
    return text


KEYS = {
    "latency": _TIME,
    "rate": _RATE,
    "overhead": _TIME,
    "gap": _TIME,
    "near_latency": _TIME,
    "near_rate": _RATE,
    "near_overhead": _TIME,
    "near_gap": _TIME,
    "gamma": _EACH,
    "delta": _EACH,
    "ranks": Key(_number, "ranks on each node, a number from 1 on"),
    "nic": _RATE,
    "nics": Key(_number, "NICs of each node, a number from 1 on"),
    "burst": Key(parse_bytes, "bytes that a NIC passes at once after a pause, as 32K"),
    "link": _RATE,
    "memory": _RATE,
    "placement": Key(_places, "block, cyclic, random:SEED or [a place for each rank]"),
    "eager": Key(parse_bytes, "bytes, as 8K"),
    "noise": Key(_share, "a share of the time, as 0.05"),
    "late": _TIME,
    "seed": Key(_number, "a number from 0 on"),
}
OF_NODES = ("ranks", "nic", "nics", "burst", "link", "memory", "placement")
ABOUT = ("about", "source")  # for the reader only


def from_keys(keys: Mapping[str, Any]) -> Machine:
    """A machine from keys with values, each as text with its unit, or as a number without one.

    Raises
    ------
    ArgumentError
        Names the key, and what is allowed.
    """
    topology = keys.get("topology", "flat")
    network, given = _network(topology)
    for name, value in keys.items():
        if name == "topology" or name in ABOUT:
            continue
        if name not in KEYS:
            raise ArgumentError(_unknown(name))
        if name in given:
            raise ArgumentError(f"{TITLE}: {name} is given by the topology already; leave it out")
        given[name] = _value(name, value)
    return _built(topology, network, given)


def _unknown(name: str) -> str:
    """What is wrong with a key that there is not."""
    known = ["topology", *KEYS, *ABOUT]
    near = get_close_matches(name, known, 1)
    hint = f"; perhaps {near[0]} was meant" if near else ""
    return f"{TITLE}: key must be one of {', '.join(known)}, got {name!r}{hint}"


def _value(name: str, value: Any) -> Any:
    key = KEYS[name]
    try:
        if isinstance(value, bool) or not isinstance(value, (str, int, float, list)):
            raise ValueError(value)
        return key.read(str(value).strip())
    except (ValueError, OverflowError):
        raise ArgumentError(f"{TITLE}: {name} must be {key.what}, got {value!r}") from None


def _built(topology: str, network: Network | None, given: dict[str, Any]) -> Machine:
    """The machine; what is not said follows from what is."""
    gamma = given.pop("gamma", GAMMA)
    if network is None:
        _flat_only(given)
        clock = _clock(given, "", gamma, Clock())
        return Machine(clock, **given)
    rates = [given[name] for name in ("nic", "rate", "link") if name in given]
    if not rates:
        raise ArgumentError(
            f"{TITLE}: nic must be given for topology {topology}, {KEYS['nic'].what}, got none; "
            f"write {topology},nic=25G or what your nodes have"
        )
    if isinstance(network, Star) and "link" in given:
        raise ArgumentError(
            f"{TITLE}: link is for networks with links, got topology {topology}; leave it out"
        )
    given.setdefault("nic", rates[0])
    given.setdefault("rate", given["nic"])
    if not isinstance(network, Star):
        given.setdefault("link", given["nic"])
    far = _clock(given, "", gamma, Clock())
    return Machine(far, _clock(given, "near_", gamma, NEAR), network, **given)


def _flat_only(given: Mapping[str, Any]) -> None:
    """Raise unless these keys are for a machine without nodes."""
    for name in given:
        if name in OF_NODES or name.startswith("near_"):
            raise ArgumentError(f"{TITLE}: {name} is for nodes, got topology flat; leave it out")


def _clock(given: dict[str, Any], prefix: str, gamma: float, default: Clock) -> Clock | LogGP:
    """The clock of which the keys with this prefix speak, which are taken out."""
    names = ("latency", "rate", "overhead", "gap")
    found = {name: given.pop(prefix + name) for name in names if prefix + name in given}
    latency = found.get("latency", default.alpha)
    byte = 1 / found["rate"] if "rate" in found else default.beta
    if "overhead" in found or "gap" in found:
        return LogGP(latency, found.get("overhead", 0.0), found.get("gap", 0.0), byte, gamma)
    return Clock(latency, byte, gamma)
