"""Whether somebody is watching, and how wide the window is.

Under mpirun a rank's stdout and stderr are pipes (MPICH) or a terminal of
mpirun's making (Open MPI), wherever the output ends up. What counts is where
mpirun's own streams lead, and Linux tells.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO

LAUNCHERS = ("mpirun", "mpiexec", "prterun", "orterun")
UNDER_A_LAUNCHER = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")


def terminal(stream: int) -> TextIO | None:
    """The terminal that file descriptor 1 or 2 ends up on, open for writing.

    What is written to it does not pass through mpirun, which may hold back
    lines that are not complete.
    """
    try:
        path = _destination(stream)
        if not path.startswith("/dev/"):
            return None
        encoding = sys.stdout.encoding or "utf-8"
        found = open(path, "w", encoding=encoding, errors="replace")  # noqa: SIM115 - it stays open
    except OSError:
        return None
    if found.isatty():
        return found
    found.close()
    return None


def past_launcher() -> TextIO | None:
    """Where the output of Open MPI's mpirun goes, which forwards no more when it is stopped."""
    if "OMPI_COMM_WORLD_RANK" not in os.environ:
        return None
    try:
        path = f"/proc/{_launcher()}/fd/1"
        return open(path, "a", encoding=sys.stdout.encoding, errors="replace")
    except OSError:
        return None


def width(terminal: TextIO) -> int:
    """Columns of a terminal."""
    return os.get_terminal_size(terminal.fileno()).columns or 80


def _destination(stream: int) -> str:
    """The file that the stream of mpirun leads to, or without mpirun that of this rank.

    Empty if mpirun is out of sight, on another host.
    """
    if not any(name in os.environ for name in UNDER_A_LAUNCHER):
        return os.ttyname(stream) if os.isatty(stream) else ""
    pid = _launcher()
    return os.readlink(f"/proc/{pid}/fd/{stream}") if pid else ""


def _launcher() -> int | None:
    """The process of mpirun; None if it is out of sight."""
    pid = os.getppid()
    while pid > 1:
        name, parent = _process(pid)
        if name.startswith(LAUNCHERS):
            return pid
        pid = parent
    return None


def _process(pid: int) -> tuple[str, int]:
    """Name and parent of a process."""
    head, _, tail = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    return head.partition("(")[2], int(tail.split()[1])
