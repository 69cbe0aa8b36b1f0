"""What the student's process may use; set by itself, before it reads the student's file.

What cannot be limited here is said, not passed over: see `Confined.lacks`.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

NOBODY = 65534
NEW_NETWORK, NEW_USER = 0x40000000, 0x10000000

# What a file of a lab may do, as CPython's audit events call it, is all but this.
REFUSED = (
    *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.kill"),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "os.putenv", "shutil.", "tempfile."),
    *("subprocess.", "socket.", "ctypes.", "urllib.", "http.", "ftplib.", "smtplib.", "pty."),
    *("gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys.settrace", "sys.setprofile"),
    *("code.__new__", "signal.pthread_kill", "webbrowser.", "sqlite3.", "mmap.", "fcntl."),
    *("sys.addaudithook", "cpython.", "resource.", "syslog.", "msvcrt."),
)


@dataclass
class Confined:
    """What was limited.

    Attributes
    ----------
    lacks : list of str
        What is not, in words.
    """

    lacks: list[str] = field(default_factory=list)


def confine(limits: dict[str, Any]) -> Confined:
    """Limit this process for good.

    Parameters
    ----------
    limits : dict
        `memory` in bytes beyond what it has now, `processor` in seconds.
    """
    confined = Confined()
    if not _memory(limits["memory"]):
        confined.lacks.append("the memory, for which this system has no limit")
    if not _no_network():
        confined.lacks.append("the network, which this kernel does not let it give up")
    if os.geteuid() == 0 and not _nobody():
        confined.lacks.append("the user, who is root: run the grader as another")
    _set(resource.RLIMIT_CPU, limits["processor"])
    _set(resource.RLIMIT_FSIZE, 0)
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_NPROC, 0)
    return confined


def _set(what: int, most: int) -> None:
    hard = resource.getrlimit(what)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def _memory(more: int) -> bool:
    try:
        with open("/proc/self/statm", "rb") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        now = 1 << 30
    try:
        _set(resource.RLIMIT_AS, now + more)
    except (OSError, ValueError):
        return False
    return sys.platform != "darwin"  # which takes the limit, and does not hold it


def _no_network() -> bool:
    """Move to a network of its own, in which there is nothing."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(NEW_NETWORK) == 0:
            return True
        return os.geteuid() != 0 and libc.unshare(NEW_USER | NEW_NETWORK) == 0
    except (OSError, AttributeError):
        return False


def _nobody() -> bool:
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except (OSError, AttributeError):  # not everywhere can a process have another user
        return False
    return True


def watch(
    refused: Callable[[str], None],
    readable: tuple[str, ...],
    private: tuple[str, ...],
    public: str,
) -> None:
    """Call `refused`, which raises, for whatever a file of a lab may not do, from now on.

    Parameters
    ----------
    refused : callable
        Is told what was tried, in words.
    readable : tuple of str
        Folders whose files may be read: Python's own, from which it imports.
    private : tuple of str
        Those in them whose files may not.
    public : str
        The one in these whose files may: the language's.
    """
    readable = tuple(f"{folder}{os.sep}" for folder in readable)
    private = tuple(f"{folder}{os.sep}" for folder in private)
    public += os.sep
    names = tuple(name for name in REFUSED if not name.endswith("."))
    families = tuple(name for name in REFUSED if name.endswith("."))

    def hook(event: str, arguments: tuple) -> None:
        if event == "import":
            name = str(arguments[0])
            if not may_import(name):
                refused(f"imports {name}")
        elif event == "open":
            path, mode = os.fspath(arguments[0]), str(arguments[1] or "r")
            if isinstance(path, int) or (isinstance(path, (str, bytes)) and not path):
                return
            name = os.path.abspath(os.fsdecode(path))
            allowed = name.startswith(readable) and not name.startswith(private)
            allowed = allowed or name.startswith(public)
            if set(mode) & set("wax+") or not allowed:
                refused(f"opens {os.fsdecode(path)}")
        elif event in names or event.startswith(families):
            refused(f"uses {event}")

    sys.addaudithook(hook)


def may_import(name: str) -> bool:
    """Whether a file of a lab may import a module: the language, numpy, the standard library."""
    top = name.partition(".")[0]
    if top == "collectives":
        known = ("collectives", "collectives.algorithms", "collectives.algorithms.language")
        return name in known or name.startswith("collectives.algorithms.language.")
    return top == "numpy" or (top in sys.stdlib_module_names and top not in UNWELCOME)


# Modules of the standard library that do something when they are imported, or leave Python.
UNWELCOME = frozenset(
    {"antigravity", "ctypes", "_ctypes", "idlelib", "multiprocessing", "subprocess", "socket"}
    | {"test", "turtledemo", "webbrowser", "pty", "mmap", "_posixsubprocess", "gc", "importlib"}
)
