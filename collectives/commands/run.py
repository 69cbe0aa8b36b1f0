"""`run`: a program as it is, with our collectives in place of MPI's."""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pkgutil import get_importer
from types import CodeType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from rich.markup import escape
from rich.table import Table

from collectives.catalogue import algorithms_in, defaults_for
from collectives.console import INTERRUPTED, console, restore_streams, table
from collectives.errors import ArgumentError
from collectives.mpi import program
from collectives.mpi.guards.settings import check_time
from collectives.units import format_bytes

if TYPE_CHECKING:
    from collectives.mpi.engines.tally import Usage


COLUMNS = (
    *("algorithm", "calls,\nbusiest rank", "messages,\nall ranks"),
    *("bytes sent,\nbusiest rank", "bytes sent,\nall ranks"),
)
HELP = "run a program with Comm for its world: mpirun -n 4 python -m collectives run program.py"


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("run", help=HELP, allow_abbrev=False)
    parser.add_argument(
        "--algorithm",
        type=algorithms_in,
        metavar="NAME",
        help="what calls take that name none: ring, or allreduce=ring,bcast=tree",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        default=None,
        help="compare every call of all ranks before it starts",
    )
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="that a call may take, and no longer"
    )
    parser.add_argument(
        "--trace", metavar="DIR", help="record every call there, for explain --from DIR"
    )
    parser.add_argument(
        "--counts", action="store_true", help="at the end, say which algorithms ran and sent what"
    )
    parser.add_argument("-m", dest="module", action="store_true", help="PROGRAM is a module's name")
    parser.add_argument(
        "program",
        nargs=argparse.REMAINDER,
        metavar="PROGRAM ...",
        help="the program, and its own arguments",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    if not arguments.program:
        raise ArgumentError("run: a program is needed, got none; name a file, or a module after -m")
    check_time("--timeout", arguments.timeout)
    algorithms = None if arguments.algorithm is None else defaults_for(arguments.algorithm)
    name = arguments.program[0]
    if not arguments.module and not os.path.exists(name):
        raise ArgumentError(f"run: needs a program that can be read, got {name!r}; name its file")

    def prepare() -> None:
        program.replace(algorithms, arguments.check, arguments.timeout, arguments.trace)
        if arguments.counts:
            program.before_the_end(_report)

    program.when_imported(prepare)
    sys.argv[:] = arguments.program
    restore_streams()
    try:
        code, main = _module(name) if arguments.module else _file(name)
        sys.modules["__main__"] = main
        exec(code, main.__dict__)
    except SystemExit as request:
        program.end_all_with(request)
        if arguments.counts and not request.code:
            _report()
        raise
    except BaseException as error:
        program.end_all_with(error)
        _fail(error)
    if arguments.counts:
        _report()
    return 0


def _report() -> None:
    """Print what ran on all ranks, at rank 0."""
    ranks = program.usage_of_all() if program.is_used() else None
    if ranks is not None:
        console().print(_table(ranks))


def _table(ranks: Sequence[Sequence[Usage]]) -> Table:
    new = table(f"What ran on {len(ranks)} ranks", *COLUMNS, numbers=True)
    sums: dict[tuple, list[list[int]]] = {}
    for usage in ranks:
        for row in usage:
            sums.setdefault(row[:4], []).append(list(row[4:]))
    for (primitive, algorithm, asked, within), rows in sorted(sums.items()):
        calls, messages, nbytes = zip(*rows)
        name = f"{primitive}.{algorithm}" + (f" ({asked})" if asked != algorithm else "")
        name += f", for {within}" if within else ""
        sent = [format_bytes(number) for number in (max(nbytes), sum(nbytes))]
        new.add_row(escape(name), str(max(calls)), str(sum(messages)), *sent)
    return new


def _file(name: str) -> tuple[CodeType, ModuleType]:
    """The code of a file, a folder or an archive, and the module that it becomes."""
    real = os.path.realpath(name)
    importer = get_importer(real)  # none for a file
    if not getattr(sys.flags, "safe_path", sys.flags.isolated):
        sys.path[0] = os.path.dirname(real) if importer is None else real
    if importer is not None:
        spec = importer.find_spec("__main__", None)
        if spec is None:
            raise ImportError(f"can't find '__main__' module in {name!r}")
        return _code(spec), _main(spec, "")
    path = os.path.abspath(name)
    with io.open_code(path) as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    main = ModuleType("__main__")
    main.__dict__.update(
        __file__=path, __cached__=None, __loader__=SourceFileLoader("__main__", path)
    )
    return code, main


def _module(name: str) -> tuple[CodeType, ModuleType]:
    """The code of a module, or of the `__main__` of a package, and the module that it becomes."""
    sys.argv[0] = "-m"
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{name}.__main__")
    if spec is None:
        raise ImportError(f"No module named {name}")
    sys.argv[0] = spec.origin or name
    return _code(spec), _main(spec, spec.parent)


def _code(spec: ModuleSpec) -> CodeType:
    code = getattr(spec.loader, "get_code", lambda name: None)(spec.name)
    if code is None:
        raise ImportError(f"No code object available for {spec.name}")
    return code


def _main(spec: ModuleSpec, package: str | None) -> ModuleType:
    main = ModuleType("__main__")
    main.__dict__.update(
        __file__=spec.origin,
        __cached__=spec.cached,
        __loader__=spec.loader,
        __package__=package,
        __spec__=spec,
    )
    return main


def _fail(error: BaseException) -> NoReturn:
    """End as Python does with an error that nobody caught; our own frames are not shown."""
    error.__traceback__ = trace = _beyond_us(error.__traceback__)
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    sys.excepthook(type(error), error, trace)
    raise SystemExit(INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1)


def _beyond_us(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from the program's first frame on."""
    while trace is not None and _is_ours(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


def _is_ours(path: str) -> bool:
    return path == __file__ or path.startswith("<frozen ")
