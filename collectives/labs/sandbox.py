"""The student's process, seen from the grader's: start it, read what it hands over, end it.

It is no sandbox in the strict sense, for Python cannot make one: see docs/labs.md. It keeps
honest mistakes from doing harm, names what goes beyond a lab, and ends whatever does not end
by itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from collectives import errors
from collectives.errors import CollectiveError

MiB = 1 << 20

START = "import sys; sys.path[:0] = {path!r}; from collectives.labs.alone import main; main()"


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    Attributes
    ----------
    seconds : float
        For all that its process does.
    one : float
        From one yield to the next, and for any other single thing.
    processor : int
        Seconds of a core.
    memory : int
        Bytes, beyond what Python and numpy need.
    printed : int
        Bytes.
    handed : int
        Bytes that it may hand over.
    """

    seconds: float = 30.0
    one: float = 5.0
    processor: int = 40
    memory: int = 512 * MiB
    printed: int = MiB
    handed: int = 16 * MiB


@dataclass
class Report:
    """What came of it.

    Attributes
    ----------
    lines : list of dict
        All that was handed over, in order.
    printed : str
        The beginning of what it printed.
    ended : str
        How it ended: `done`; `late`, `flood` or `handed`, at a limit; `forged`, it wrote to
        the grader what only our own code may; or in words.
    seconds : float
    """

    lines: list[dict[str, Any]] = field(default_factory=list)
    printed: str = ""
    ended: str = "done"
    seconds: float = 0.0

    def of(self, kind: str) -> Iterator[dict[str, Any]]:
        """The lines of one kind."""
        return (line for line in self.lines if line["kind"] == kind)


def run(request: Mapping[str, Any], limits: Limits) -> Report:
    """Let a student's file hand over what is asked.

    Parameters
    ----------
    request : mapping
        As in `inside.serve`, without `nonce` and `limits`.
    limits : Limits
    """
    nonce = secrets.token_hex(16)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        os.chmod(folder, 0o755)
        reads, writes = os.pipe()
        given = {"nonce": nonce, "channel": writes, "limits": asdict(limits)}
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", START.format(path=_path())],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(writes,),
            start_new_session=True,
        )
        os.close(writes)
        try:
            reader = _Reader(process, reads, limits, began)
            reader.ask(json.dumps({**request, **given}).encode() + b"\n")
            reader.read()
        finally:
            _end(process)
            os.close(reads)
    report = reader.report(nonce)
    if report.ended != "late" and not any(report.of("ready")):
        raise CollectiveError(
            "labs: the student's process must start, got an error of its own before it read the "
            f"file:\n{bytes(reader.printed[-2000:]).decode('utf-8', 'replace')}"
        )
    report.seconds = time.monotonic() - began
    return report


def _path() -> list[str]:
    """Where the library lies, and all that this process imports from."""
    home = str(Path(errors.__file__).parent.parent)
    return [home, *[path for path in sys.path if path and path != home]]


def _environment() -> dict[str, str]:
    kept = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {name: os.environ[name] for name in kept if name in os.environ} | threads


class _Reader:
    """Reads both pipes of a process until it ends, or a limit is reached."""

    def __init__(self, process: subprocess.Popen, handed: int, limits: Limits, began: float):
        self.process, self.limits = process, limits
        self.deadline = began + limits.seconds
        self.handed, self.printed = bytearray(), bytearray()
        self.ended = ""
        assert process.stdout is not None
        self.selector = selectors.DefaultSelector()
        self.selector.register(handed, selectors.EVENT_READ, self.handed)
        self.selector.register(process.stdout.fileno(), selectors.EVENT_READ, self.printed)

    def ask(self, data: bytes) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended already; its status says why
            self.process.stdin.write(data)
            self.process.stdin.close()

    def read(self) -> None:
        """Until the student's process has closed both pipes, which it does when it ends."""
        while self.selector.get_map() and not self.ended:
            left = self.deadline - time.monotonic()
            if left <= 0:
                self.ended = "late"
            for key, _ in self.selector.select(max(0.0, min(left, 1.0))):
                data = os.read(key.fd, MiB)
                key.data.extend(data)
                if not data:
                    self.selector.unregister(key.fd)
            if len(self.printed) > self.limits.printed:
                self.ended = "flood"
            elif len(self.handed) > self.limits.handed:
                self.ended = "handed"
        self.selector.close()

    def report(self, nonce: str) -> Report:
        report = Report(printed=self.printed[:2000].decode("utf-8", "replace"))
        mark, forged = nonce.encode() + b" ", False
        for line in bytes(self.handed).splitlines():
            if not line.startswith(mark):
                forged = True
                continue
            try:
                report.lines.append(json.loads(line[len(mark) :]))
            except ValueError:  # cut off when the process was ended
                continue
        done = any(report.of("done")) or any(report.of("endless"))
        report.ended = self.ended or ("done" if done else self._how())
        if forged and report.ended == "done":
            report.ended = "forged"
        return report

    def _how(self) -> str:
        """How a process ended that should have gone on."""
        status = self.process.returncode
        if status is not None and status < 0:
            try:
                return f"ended by {signal.Signals(-status).name}"
            except ValueError:
                return f"ended by signal {-status}"
        return f"left with status {status}"


def _end(process: subprocess.Popen) -> None:
    """End it and all that it started."""
    if process.stdout is not None:
        process.stdout.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()
