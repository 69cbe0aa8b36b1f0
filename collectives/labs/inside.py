"""What runs in the student's process: it loads the file, and hands over what it yields."""

from __future__ import annotations

import builtins
import contextlib
import importlib
import inspect
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType, ModuleType
from typing import Any

import numpy as np

from collectives.algorithms import language
from collectives.algorithms.language.registry import REGISTRY, Algorithm, Unfit
from collectives.engines.driver import Process
from collectives.engines.hints import hint_for
from collectives.errors import FAILURES, CollectiveError, in_words
from collectives.labs.handover import Case
from collectives.labs.limits import confine, watch
from collectives.labs.recorder import record
from collectives.labs.texts import imports_of, remember
from collectives.labs.training import train
from collectives.problems import Problem
from collectives.study.strict import strict_buffers

# What numpy imports when it is first used.
LAZY = ("numpy.random", "numpy.linalg", "numpy.fft", "numpy.polynomial")

# The share of the time that somebody who sleeps needs at most.
IDLE = 0.02

_write, _exit, _now, _cpu = os.write, os._exit, time.monotonic, time.process_time


class Refused(PermissionError):
    """The file tried what a file of a lab may not do."""


class Channel:
    """Writes to the grader, on a pipe of its own."""

    def __init__(self, descriptor: int, nonce: str):
        self.descriptor, self.nonce = descriptor, nonce

    def say(self, kind: str, **values: Any) -> None:
        data = f"{self.nonce} {json.dumps({'kind': kind, **values})}\n".encode()
        while data:
            data = data[_write(self.descriptor, data) :]


class Alarm:
    """Ends the process when the student's code takes too long at one thing."""

    def __init__(self, channel: Channel, file: str, seconds: float):
        self.channel, self.file, self.seconds = channel, file, seconds
        self.began = self.used = 0.0
        self.doing: dict[str, Any] = {}
        self.process: Process | None = None  # whose algorithm runs
        signal.signal(signal.SIGALRM, self._ring)

    @contextlib.contextmanager
    def over(self, **doing: Any) -> Iterator[None]:
        """Let it ring if what is done in a `with` statement does not end."""
        self.doing, self.began, self.used = doing, _now(), _cpu()
        signal.setitimer(signal.ITIMER_REAL, self.seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, _: int, frame: FrameType | None) -> None:
        while frame is not None and frame.f_code.co_filename != self.file:
            frame = frame.f_back
        asleep = _cpu() - self.used < IDLE * (_now() - self.began)
        line = frame.f_lineno if frame else 0
        if frame is None and self.process is not None:  # it yields, again and again
            line = self.process.line()[1]
        self.channel.say("endless", line=line, asleep=asleep, **self.doing)
        _exit(0)


def serve(request: dict[str, Any]) -> None:
    """Do all that the grader asks.

    Parameters
    ----------
    request : dict
        `file`, its name, and `text`; `channel`, `nonce` and `limits`; `tasks`, each
        with `function`, `primitive`, `cases` and `strict`; and `calls`, each with `function`
        and `arguments`.
    """
    channel = Channel(request["channel"], request["nonce"])
    file, text, limits = request["file"], request["text"], request["limits"]
    remember(file, text)
    for name in [*LAZY, *imports_of(text)]:  # some cannot be read any more in a moment
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    alarm = Alarm(channel, file, limits["one"])
    channel.say("confined", lacks=confine(limits).lacks)
    _hide()
    patched = _Patches()
    ours = _folder(sys.modules["collectives"]), os.path.dirname(_folder(language))
    pythons = _folder(inspect), _folder(np)
    watch(_refusing(channel, file), pythons, ours, _folder(language))
    channel.say("ready")
    try:
        _serve(request, channel, alarm, patched)
    except BaseException as error:  # the file may have changed what our own code needs
        _tell(channel, patched)
        channel.say("broke", message=_in_words(error, file)[:500])
    _tell(channel, patched)
    channel.say("done")
    _exit(0)


def _tell(channel: Channel, patched: _Patches) -> bool:
    """Say what the file has changed, if it has."""
    found = patched.undone()
    for name in found:
        channel.say("refused", what=f"changes {name}", line=0)
    return bool(found)


def _serve(request: dict[str, Any], channel: Channel, alarm: Alarm, patched: _Patches) -> None:
    file, text = request["file"], request["text"]
    module = ModuleType("mine")
    sys.modules["mine"] = module
    if _load(channel, alarm, module, file, text) and not _tell(channel, patched):
        for number, task in enumerate(request["tasks"]):
            _Task(channel, alarm, number, task, file).run()
        for number, call in enumerate(request["calls"]):
            _call(channel, alarm, module, number, call)
        for number, call in enumerate(request.get("training", ())):
            _train(channel, alarm, module, number, call)


def _hide() -> None:
    """Forget all modules of ours but the language, so that an import of one is seen."""
    for name in [*sys.modules]:
        keeps = ("collectives", "collectives.algorithms")
        kept = name in keeps or name.startswith(language.__name__)
        if name.startswith("collectives.") and not kept:
            del sys.modules[name]
    vars(sys.modules["collectives"]).pop("labs", None)


def _refusing(channel: Channel, file: str) -> Callable[[str], None]:
    def refuse(what: str) -> None:
        frame: FrameType | None = inspect.currentframe()
        while frame is not None and frame.f_code.co_filename != file:
            frame = frame.f_back
        if frame is not None:  # Python does some of it by itself
            channel.say("refused", what=what, line=frame.f_lineno)
            raise Refused(f"a file of a lab may not do this: it {what}")

    return refuse


def _folder(module: ModuleType) -> str:
    """The folder in which a module, or the inside of a package, lies."""
    assert module.__file__ is not None
    return os.path.dirname(os.path.abspath(module.__file__))


class _Patches:
    """What must not change: Python's built-ins and the language."""

    def __init__(self) -> None:
        rooms = [name for name in sys.modules if name.startswith(language.__name__)]
        self.before: list[tuple[Any, str, Any]] = []
        for module in [builtins, *[sys.modules[name] for name in rooms]]:
            for name, value in [*vars(module).items()]:
                if name in ("_", "revision") or (name.startswith("__") and name != "__import__"):
                    continue
                self.before.append((module, name, value))
                if type(value) is type and value.__module__ == module.__name__:
                    self.before += [(value, inner, part) for inner, part in vars(value).items()]

    def undone(self) -> list[str]:
        """The names of what is another now; it is put back."""
        found = []
        for owner, name, value in self.before:
            if vars(owner).get(name) is not value:
                with contextlib.suppress(AttributeError, TypeError):
                    setattr(owner, name, value)
                found.append(f"{owner.__name__}.{name}")
        return found


def _load(channel: Channel, alarm: Alarm, module: ModuleType, file: str, text: str) -> bool:
    def load() -> None:
        with alarm.over(doing="load"):
            exec(compile(text, file, "exec"), vars(module))

    def broken(error: BaseException) -> None:
        channel.say("broken", message=_in_words(error, file), hint=_hint(error))

    return _went_well(channel, file, load, broken, doing="load")


def _went_well(
    channel: Channel,
    file: str,
    work: Callable[[], None],
    wrong: Callable[[BaseException], None],
    **doing: Any,
) -> bool:
    """Let the student's code work; hand over what is wrong, or that there is too little memory."""
    try:
        work()
    except Refused:
        return False
    except MemoryError as error:
        channel.say("memory", line=_line(error, file), **doing)
        return False
    except (*FAILURES, KeyboardInterrupt) as error:
        if not isinstance(error.__cause__, Refused):
            wrong(error)
        return False
    return True


def _in_words(error: BaseException, file: str) -> str:
    """An error with the last line of the student's file."""
    line = _line(error, file)
    if isinstance(error, SyntaxError):
        line = error.lineno or line
        return f"{type(error).__name__}: {error.msg} ({file}:{line})"
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, Unfit):  # the rest is the hint
        text = str(error).rpartition("; ")[0]
    elif isinstance(error, CollectiveError):
        text = str(error)
    return f"{text} ({file}:{line})" if line else text


def _line(error: BaseException, file: str) -> int:
    """The last line of the student's file on the way to an error; 0 if there is none."""
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _hint(error: BaseException) -> str:
    if isinstance(error, Unfit):
        return str(error).rpartition("; ")[2]
    return getattr(error, "hint", "") or hint_for(error)


class _Task:
    """One function of the student's, and the cases for which its rounds are wanted."""

    def __init__(
        self, channel: Channel, alarm: Alarm, number: int, task: dict[str, Any], file: str
    ):
        self.channel, self.alarm, self.number, self.file = channel, alarm, number, file
        self.name, self.primitive = task["function"], task["primitive"]
        self.cases = [Case.restored(each) for each in task["cases"]]
        self.strict = [Case.restored(each) for each in task["strict"]]

    def run(self) -> None:
        algorithm = REGISTRY[self.primitive].get(self.name)
        if algorithm is None:
            self.channel.say("absent", task=self.number)
            return
        code = inspect.unwrap(algorithm.generator).__code__
        self.channel.say(
            "found",
            task=self.number,
            first=code.co_firstlineno,
            declared={
                name: getattr(algorithm, name)
                for name in ("commutative", "power_of_two", "minimum_p")
            },
        )
        if all(self._record(algorithm, number, case) for number, case in enumerate(self.cases)):
            for number, case in enumerate(self.strict):
                if not self._strictly(algorithm, number, case):
                    break

    def _record(self, algorithm: Algorithm, number: int, case: Case) -> bool:
        problem = case.problem
        handed = []

        def one(rank: int) -> None:
            buffers = problem.buffers(rank)
            page = problem.start(algorithm, rank, buffers, {})
            process = self.alarm.process = Process(self.name, rank, problem.p, page)
            both = [buffers.recv] if case.primitive == "bcast" else [buffers.send, buffers.recv]
            handed.append(record(process, both, self.file, case.room))

        if not self._watched(one, problem, number, "case"):
            return False
        self.channel.say("rounds", task=self.number, case=number, ranks=handed)
        return True

    def _strictly(self, algorithm: Algorithm, number: int, case: Case) -> bool:
        problem = case.problem

        def one(rank: int) -> None:
            page = problem.start(algorithm, rank, strict_buffers(problem, rank), {})
            process = Process(self.name, rank, problem.p, page, phantom=True)
            while process.advance() is not None:
                pass

        return self._watched(one, problem, number, "strict")

    def _watched(
        self, one: Callable[[int], None], problem: Problem, number: int, kind: str
    ) -> bool:
        """Do something for each rank; hand over what went wrong."""
        doing = {"task": self.number, "case": number, "cases": kind}
        rank = 0

        def work() -> None:
            nonlocal rank
            for rank in range(problem.p):
                with self.alarm.over(**doing, rank=rank):
                    one(rank)

        def failed(error: BaseException) -> None:
            message, hint = in_words(error), getattr(error, "hint", "")
            self.channel.say("failed", **doing, rank=rank, message=message, hint=hint)

        return _went_well(self.channel, self.file, work, failed, **doing)


def _call(
    channel: Channel, alarm: Alarm, module: ModuleType, number: int, call: dict[str, Any]
) -> None:
    """A function of the student's that returns a number, or a constant."""
    wanted = getattr(module, call["function"], None)
    if wanted is None:
        channel.say("value", call=number, problem="absent")
        return
    values = []
    try:
        for arguments in call["arguments"]:
            with alarm.over(call=number):
                value = wanted(*arguments) if callable(wanted) else wanted
            values.append(_plain(value))
    except Refused:
        return
    except (*FAILURES, KeyboardInterrupt) as error:
        message, hint = _in_words(error, alarm.file), _hint(error)
        channel.say("value", call=number, problem="raised", message=message, hint=hint)
        return
    channel.say("value", call=number, values=values)


def _train(
    channel: Channel, alarm: Alarm, module: ModuleType, number: int, call: dict[str, Any]
) -> None:
    """A training of the student's, on several numbers of ranks."""
    wanted = getattr(module, call["function"], None)
    if wanted is None:
        return
    for p in call["ranks"]:

        def work(p: int = p) -> None:
            with alarm.over(training=number, p=p):
                done = train(wanted, p, alarm.file)
            channel.say("trained", call=number, p=p, **done)

        def untrained(error: BaseException, p: int = p) -> None:
            message, hint = in_words(error), getattr(error, "hint", "")
            channel.say("untrained", call=number, p=p, message=message, hint=hint)

        if not _went_well(channel, alarm.file, work, untrained):
            return


def _plain(value: Any) -> Any:
    """A number, or a list of them; None for anything else."""
    if isinstance(value, (bool, np.bool_)):
        return None
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value)
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(each) for each in value]
    return None
