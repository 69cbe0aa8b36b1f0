"""What is measured, and the files in which it is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from collectives.algorithms import PRIMITIVES, REGISTRY
from collectives.algorithms.language.registry import AUTO
from collectives.bench.cells import BUILTIN
from collectives.errors import ArgumentError
from collectives.study.tables import candidates

FOLDER = Path("docs/model")

# `auto` with a table made from the parameters that have just been measured.
MADE = "auto, table made there"

# Bytes of the whole vector; a barrier has none.
SIZES = tuple(2**power for power in range(10, 23, 2))  # 1 KiB to 4 MiB
PRIMITIVES_WITH_DATA = tuple(name for name in PRIMITIVES if name != "barrier")


@dataclass(frozen=True)
class Configuration:
    """So many ranks on each of so many hosts of a box; one host is the machine itself."""

    hosts: int
    ranks: int

    @property
    def p(self) -> int:
        """Number of ranks."""
        return self.hosts * self.ranks

    @property
    def weight(self) -> int:
        """Its part of the time: all ranks share two cores or so, and all begin and end."""
        return self.p + 4

    @property
    def name(self) -> str:
        """Of its files."""
        return f"box-{self.hosts}x{self.ranks}" if self.hosts > 1 else f"node-{self.ranks}"

    @property
    def words(self) -> str:
        """For the page."""
        if self.hosts == 1:
            return f"{self.ranks} ranks on one node"
        return f"{self.hosts} hosts, {self.ranks} rank{'s' * (self.ranks > 1)} each"


CONFIGURATIONS = tuple(Configuration(*shape) for shape in ((4, 1), (4, 2), (8, 1), (8, 2), (1, 2)))


def leading(primitive: str, hosts: int, ranks: int) -> list[str]:
    """The algorithms that are measured: those that `auto` chooses from, and, where ranks share
    hosts, all that use that."""
    if hosts == 1:
        return [*candidates(primitive)]
    two_level = [name for name, one in REGISTRY[primitive].items() if one.needs_groups]
    plain = [name for name in candidates(primitive, nodes=True) if name not in two_level]
    return plain + two_level * (ranks > 1)


def rows(primitive: str, hosts: int, ranks: int) -> list[str]:
    """All that is measured: the MPI's own, what `auto` makes of it, and the algorithms."""
    return [BUILTIN, AUTO, MADE, *leading(primitive, hosts, ranks)]


@dataclass
class Record:
    """A run of one configuration.

    Attributes
    ----------
    hosts, ranks : int
    date, mpi, over : str
        The day; the MPI's name and version; what carried the messages between hosts.
    cores : int
    load : float or None
        Processes that ran in the minute before.
    rate, burst : int
        Of a link of the box, in bits a second and bytes; 0 on one node.
    empty : float
        Microseconds that a call takes that does nothing: what a barrier leaves behind.
    payload : dict
        Bytes a second of a plain socket, as `sockets.Payload` has them.
    times : dict
        Microseconds by primitive, algorithm and bytes (as text, which JSON wants).
    machine : str
        Its parameters, in TOML: a file of its own, for `--topology`.
    table : str
        The table of choices that was made from them, a file of its own, too.
    """

    hosts: int
    ranks: int
    date: str
    mpi: str
    over: str
    cores: int
    load: float | None
    rate: int
    burst: int
    empty: float
    payload: dict[str, float]
    times: dict[str, dict[str, dict[str, float]]]
    machine: str
    table: str = ""

    @property
    def configuration(self) -> Configuration:
        return Configuration(self.hosts, self.ranks)

    @property
    def crowded(self) -> bool:
        """Whether ranks shared cores."""
        return self.hosts * self.ranks > self.cores

    def write(self, path: Path) -> None:
        """Write it, one line for each algorithm, and the machine and the table beside it."""
        content = asdict(self)
        times = content.pop("times")
        path.with_suffix(".toml").write_text(content.pop("machine"), encoding="utf-8")
        _table(path).write_text(content.pop("table"), encoding="utf-8")
        lines = [f'"{name}": {json.dumps(value)}' for name, value in content.items()]
        blocks = []
        for primitive, found in times.items():
            each = [f'   "{name}": {json.dumps(row)}' for name, row in found.items()]
            blocks.append(f'  "{primitive}": {{\n' + ",\n".join(each) + "\n  }")
        lines.append('"times": {\n' + ",\n".join(blocks) + "\n }")
        path.write_text("{\n " + ",\n ".join(lines) + "\n}\n", encoding="utf-8")


def _table(path: Path) -> Path:
    return path.with_name(f"{path.stem}-table.json")


def read(path: Path) -> Record:
    """A record from its file."""
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        machine = path.with_suffix(".toml").read_text(encoding="utf-8")
        table = _table(path).read_text(encoding="utf-8") if _table(path).exists() else ""
        return Record(machine=machine, table=table, **found)
    except (OSError, ValueError, TypeError) as error:
        raise ArgumentError(f"model: {path} must be a record of a run, got {error}") from None


def records(folder: Path) -> list[Record]:
    """All records of a folder, in the order of the configurations."""
    found = [folder / f"{one.name}.json" for one in CONFIGURATIONS]
    return [read(path) for path in found if path.exists()]
