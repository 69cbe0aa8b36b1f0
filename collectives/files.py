"""Write what a command was asked to write, to whatever is at that path.

An ordinary file is replaced in one step, so that nobody sees half of it, and keeps its mode.
All else stays what it is and is written to: what a link leads to, a FIFO, a device, a
standard stream of this process, of which `-` is stdout. A file that has a second name or another
owner, or that lies in a folder where no file can be made, is written where it is.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from typing import TextIO

from collectives.errors import ArgumentError

STDOUT = "-"
WAITING = "waiting for somebody to read {path}, which is a FIFO"


def check_target(path: str, title: str) -> None:
    """Raise ArgumentError unless something can be written to a path, as far as one can see.

    Parameters
    ----------
    path : str
    title : str
        What the path was given to, such as ``--json``.
    """
    if path == STDOUT:
        return
    found, folder = _stat(path), os.path.dirname(os.path.realpath(path))
    if not path or (found and stat.S_ISDIR(found.st_mode)):
        raise _needed(title, "a file", path)
    if found and not os.access(path, os.W_OK):
        raise _needed(title, "a file that can be written", path)
    if not found and not os.path.isdir(folder):
        raise _needed(title, "a folder that is there", folder)
    if not found and not os.access(folder, os.W_OK):
        raise _needed(title, "a folder that can be written to", folder)


def write(path: str, content: str | bytes, title: str) -> None:
    """Write bytes, or a text in UTF-8; an ordinary file is left as it was if it cannot be done.

    Raises
    ------
    ArgumentError
        Says why it could not be written.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        stream = _own_stream(path)
        if stream is not None:
            _print(stream, data)
        elif _stays(path):
            _write_into(path, data)
        else:
            _replace(os.path.realpath(path), data)
    except OSError as error:
        reason = error.strerror or error
        raise _needed(title, "a file that can be written", f"{path} ({reason})") from None


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _own_stream(path: str) -> TextIO | None:
    """Our stdout or stderr, if that is what the path leads to: what was printed must stay."""
    if path == STDOUT:
        return sys.stdout
    found = _stat(path)
    for stream in (sys.stdout, sys.stderr):
        try:
            if found and os.path.samestat(found, os.fstat(stream.fileno())):
                return stream
        except (OSError, ValueError, AttributeError):  # closed, or not a file at all
            continue
    return None


def _print(stream: TextIO, data: bytes) -> None:
    stream.flush()
    if hasattr(stream, "buffer"):
        stream.buffer.write(data)
        stream.buffer.flush()
    else:  # a program has put one of its own in its place
        stream.write(data.decode())


def _stays(path: str) -> bool:
    """Whether what is at the path must not be replaced by a new file."""
    found = _stat(path)
    if found is None:
        return False
    ours = (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid())
    alone = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    return not (ours and alone and os.access(os.path.dirname(os.path.realpath(path)), os.W_OK))


def _write_into(path: str, data: bytes) -> None:
    fifo = stat.S_ISFIFO(os.stat(path).st_mode)
    with open(_read_fifo(path) if fifo else path, "wb") as file:
        file.write(data)


def _read_fifo(path: str) -> int:
    """A descriptor of a FIFO that somebody reads."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        print(WAITING.format(path=path), file=sys.stderr, flush=True)
        return os.open(path, os.O_WRONLY)
    os.set_blocking(descriptor, True)
    return descriptor


def _replace(path: str, data: bytes) -> None:
    found = _stat(path)
    with tempfile.NamedTemporaryFile(
        dir=os.path.dirname(path), suffix=".part", delete=False
    ) as part:
        try:
            part.write(data)
            part.flush()
            os.chmod(part.name, stat.S_IMODE(found.st_mode) if found else _usual_mode())
            os.replace(part.name, path)
        except BaseException:
            os.unlink(part.name)
            raise


def _usual_mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _needed(title: str, what: str, got: str) -> ArgumentError:
    return ArgumentError(f"{title}: {what} is needed, got {got!r}; name another")
