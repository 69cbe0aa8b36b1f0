"""A cluster in a box: run an MPI program over a network that is slow on purpose.

::

    python -m collectives.bench.box --hosts 8 --rate 200mbit [--ranks 16] -- PROGRAM

Hosts are network namespaces around a switch, and each link passes no more than the rate,
both ways. PROGRAM runs under MPICH's mpirun, over TCP; ranks of one host share its link, and
memory. It needs Linux and root, and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from collectives.algorithms.language.pages import docstring
from collectives.console import to_the_end
from collectives.errors import ArgumentError

from .inside import TRANSPORTS
from .network import Network, parse_burst, parse_rate, placed

TOOLS = ("ip", "tc", "unshare", "nsenter", "setpriv")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 8.0  # seconds that a program may take to end when it is told to

# Namespaces for the switch, for what is mounted, and for processes: all of these end
# when their first process does. The kernel kills that when `unshare` is gone, and
# `unshare` when this program is, even by SIGKILL.
APART = ["setpriv", "--pdeathsig", "KILL", "unshare"]
APART += ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


def parser() -> argparse.ArgumentParser:
    """The options there are."""
    new = argparse.ArgumentParser(
        "python -m collectives.bench.box",
        description=docstring(sys.modules[__name__]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = new.add_argument
    add("--hosts", type=int, default=4, metavar="H", help="how many (%(default)s)")
    add("--ranks", type=int, metavar="P", help="of the program, in blocks; default one a host")
    add("--rate", default="200mbit", help="of a link, bits a second (%(default)s)")
    add("--burst", default="32K", help="bytes a link passes at once after a pause (%(default)s)")
    add("--over", choices=tuple(TRANSPORTS), default="ucx", help="MPICH's transport (%(default)s)")
    add("program", nargs="+", metavar="PROGRAM", help="after --; `python` is this one")
    return new


def ready(given: argparse.Namespace) -> dict:
    """What `inside` is told; raises ArgumentError if it cannot be."""
    network = Network(given.hosts, parse_rate(given.rate), parse_burst(given.burst))
    ranks = placed(network.hosts if given.ranks is None else given.ranks, network.hosts)
    p = sum(ranks)
    program = [sys.executable if word == "python" else word for word in given.program]
    return {
        "network": vars(network),
        "ranks": ranks,
        "over": given.over,
        "command": [needed(), "-n", str(p), *program],
        "headline": f"box: {p} ranks on {network.hosts} hosts, {given.rate} a link both ways, "
        f"burst {network.burst} B, MPICH over {given.over.upper()}",
    }


def needed() -> str:
    """The mpirun to use; raises ArgumentError where there can be no box."""
    if not sys.platform.startswith("linux"):
        raise ArgumentError(f"box: Linux is needed, got {sys.platform}")
    if os.geteuid() != 0:
        raise ArgumentError(
            "box: root is needed, to make network namespaces and limit their links, got user "
            f"{os.geteuid()}; use sudo, or a container with CAP_SYS_ADMIN and CAP_NET_ADMIN"
        )
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        raise ArgumentError(
            f"box: {', '.join(TOOLS)} are needed, got no {', '.join(missing)}; install them "
            "(Debian, Ubuntu: apt install iproute2 util-linux)"
        )
    beside = Path(sys.executable).with_name("mpirun")
    mpirun = str(beside) if beside.exists() else shutil.which("mpirun")
    version = mpirun and subprocess.run([mpirun, "--version"], capture_output=True, text=True)
    if not (mpirun and version and "HYDRA" in version.stdout):
        raise ArgumentError(
            f"box: MPICH's mpirun is needed, got {mpirun or 'none'}; use an environment with MPICH"
        )
    return mpirun


def run(told: dict) -> int:
    """Run the box to its end; returns the exit status, of a signal 128 and its number.

    A signal is passed on to all of the box, which has `GRACE` seconds; a second one ends it.
    """
    inside = [*APART, sys.executable, "-m", "collectives.bench.box.inside", json.dumps(told)]
    stopped: list[int] = []
    started: list[subprocess.Popen] = []

    def stop(number: int, _: object) -> None:
        stopped.append(number)
        for box in started:
            _tell(box, number, at_once=len(stopped) > 1)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        started.append(subprocess.Popen(inside, start_new_session=True))
        if stopped:  # in between
            _tell(started[0], stopped[0], at_once=True)
        status = started[0].wait()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 + stopped[0] if stopped else status


def _tell(box: subprocess.Popen, number: int, at_once: bool) -> None:
    """Send a signal to all of a box; soon, or at once, its kernel ends it."""
    if at_once:
        return box.kill()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(box.pid, number)
    signal.signal(signal.SIGALRM, lambda *_: box.kill())
    signal.setitimer(signal.ITIMER_REAL, GRACE)


def main(arguments: Sequence[str]) -> int:
    """Read the options, and run the box."""
    reading = parser()
    given = reading.parse_args(arguments)
    try:
        told = ready(given)
    except ArgumentError as error:
        reading.exit(2, f"{error}\n")
    return run(told)


if __name__ == "__main__":
    sys.exit(to_the_end(lambda: main(sys.argv[1:])))
