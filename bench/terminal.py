"""Whether somebody is watching, and how wide the window is.

Under mpirun a rank's stdout and stderr are pipes (MPICH) or a terminal of
mpirun's making (Open MPI), wherever the output ends up. What counts is where
mpirun's own streams lead, and Linux tells.
"""

from __future__ import annotations

import os
from pathlib import Path

LAUNCHERS = ("mpirun", "mpiexec", "prterun", "orterun")
UNDER_A_LAUNCHER = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")


def width_of(stream: int) -> int | None:
    """Columns of the terminal that file descriptor 1 or 2 ends up on; None if on none."""
    try:
        path = _launchers_stream(stream)
        if path is None:
            return os.get_terminal_size(stream).columns if os.isatty(stream) else None
        return _columns(path)
    except (OSError, ValueError):
        return None


def _columns(path: str) -> int | None:
    if not path.startswith("/dev/"):
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        return os.get_terminal_size(descriptor).columns if os.isatty(descriptor) else None
    finally:
        os.close(descriptor)


def _launchers_stream(stream: int) -> str | None:
    """What mpirun's stream leads to; "" if it is out of sight, None without mpirun."""
    if not any(name in os.environ for name in UNDER_A_LAUNCHER):
        return None
    pid = os.getppid()
    while pid > 1:
        name, parent = _process(pid)
        if name.startswith(LAUNCHERS):
            return os.readlink(f"/proc/{pid}/fd/{stream}")
        pid = parent
    return ""


def _process(pid: int) -> tuple[str, int]:
    """Name and parent of a process."""
    head, _, tail = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    return head.partition("(")[2], int(tail.split()[1])
