"""What `train` prints, on rank 0."""

from __future__ import annotations

import os
from collections.abc import Sequence
from statistics import median
from typing import Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from collectives.console import console, table
from collectives.llm.training.grid import named
from collectives.llm.training.report import Report
from collectives.llm.training.trainer import Job, Step
from collectives.llm.words import counted
from collectives.units import format_bytes, seconds

LINES = 10  # that are printed on the way where there is no terminal


class Way:
    """Shows how far training is: a bar on a terminal, else a line now and then."""

    def __init__(self, steps: int, tokens: int, quiet: bool):
        self.steps, self.tokens, self.quiet = steps, tokens, quiet
        self.bar = None
        out = console()
        if not quiet and out.is_terminal:
            self.bar = Progress(
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(),
                TextColumn("{task.description}"),
                TimeRemainingColumn(),
                console=out,
            )
            self.task = self.bar.add_task("", total=steps)

    def __enter__(self) -> Way:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self.bar:
            self.bar.stop()

    def show(self, step: Step) -> None:
        """A step is done."""
        words = f"loss {step.loss:.3f}, {self.tokens / step.seconds:,.0f} tokens/s"
        if self.bar:
            self.bar.update(self.task, completed=step.number, description=words)
        elif not self.quiet and step.number % max(self.steps // LINES, 1) == 0:
            print(f"step {step.number} of {self.steps}: {words}", flush=True)


def show_beginning(job: Job, parameters: int, ranks: int) -> None:
    """What is going to be trained."""
    size, threads = job.size, os.environ.get("OMP_NUM_THREADS", "?")
    inner = f"{size.experts} experts of {size.ffn}" if size.experts else f"MLPs of {size.ffn}"
    lines = [
        f"GPT of {counted(size.layers, 'layer')}, {parameters:,} parameters: width {size.hidden}, "
        f"{size.heads} heads, {inner}, {size.vocab} different characters",
        f"{counted(ranks, 'rank')}: {named(job.layout)}; {job.recipe.name}; "
        f"threads of numpy per rank: {threads}",
        f"{job.batch} sequences of {size.sequence} a step, "
        f"{counted(job.micro_batches, 'micro-batch', 'es')} on each rank",
    ]
    for line in lines:
        console().print(escape(line), soft_wrap=True)


def show_end(steps: Sequence[Step], tokens: int) -> None:
    """Where the loss went, and how fast."""
    if not steps:
        return
    last = [step.loss for step in steps[-10:]]
    spent = sum(step.seconds for step in steps)
    print(
        f"\nloss {steps[0].loss:.3f} in step {steps[0].number}, "
        f"{sum(last) / len(last):.3f} in the mean of the last {len(last)} of {len(steps)}; "
        f"{seconds(spent)}, {tokens * len(steps) / spent:,.0f} tokens/s"
    )
    if steps[-1].balance:
        print(
            f"load of experts: {steps[0].balance:.3f} in step {steps[0].number}, "
            f"{steps[-1].balance:.3f} in step {steps[-1].number}; 1 is even"
        )


def show_overlap(together: Sequence[tuple[float, float]], apart: Sequence[tuple[float, float]]):
    """What it brings that allreduce goes on during backward: (seconds, of these waited)."""
    (step, waited), (step_apart, waited_apart) = map(_medians, (together, apart))
    print(
        f"\nallreduce, medians on rank 0: {seconds(waited_apart)} a step when nothing else is done "
        f"meanwhile; {seconds(waited)} of waiting are left when it goes on during backward\n"
        f"a step takes {seconds(step)} with that overlap and {seconds(step_apart)} without it, "
        f"{100 * abs(step_apart / step - 1):.0f} % {'more' if step_apart > step else 'less'}"
    )


def _medians(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    ours, waited = zip(*pairs)
    return median(ours), median(waited)


def show_compression(kind: str, report: Report, plain: int) -> None:
    """How many bytes compression has saved on rank 0."""
    [sent] = [pair.measured for pair in report.sent if pair.what == "allreduce"]
    print(
        f"\ngradients compressed by {kind}: {sent:,} B of allreduce in place of {plain:,} B, "
        f"{100 * sent / plain:.0f} %; what it does to the loss shows a run without --compress"
    )


def show_reports(reports: Sequence[Report], steps: int) -> None:
    """Measured and calculated, of the rank that has most; and whether all ranks agree."""
    held = max(reports, key=lambda report: report.most)
    print()
    new = table(
        f"Model state at most, rank {reports.index(held)}",
        *("", "measured", "calculated"),
        numbers=True,
    )
    for pair in held.held:
        if pair.measured or pair.calculated:
            new.add_row(pair.what, f"{pair.measured:,} B", f"{pair.calculated:,} B")
    new.add_row("at one time", f"{held.most:,} B", "")
    console().print(new)
    sent = max(reports, key=lambda report: sum(pair.measured for pair in report.sent))
    print()
    heading = f"Sent in {steps} steps, rank {reports.index(sent)}"
    new = table(heading, "", "measured", "calculated", "a step", numbers=True)
    for pair in sent.sent:
        if pair.measured or pair.calculated:
            new.add_row(
                pair.what,
                f"{pair.measured:,} B",
                f"{pair.calculated:,} B",
                format_bytes(pair.measured / max(steps, 1)),
            )
    console().print(new)
    differ = [(rank, pair) for rank, each in enumerate(reports) for pair in each.wrong]
    if not differ:
        print(f"measured and calculated are equal on all {len(reports)} ranks")
    for rank, pair in differ:
        print(
            f"DIFFERENT on rank {rank}: {pair.what}, {pair.measured} measured, "
            f"{pair.calculated} calculated"
        )
