"""What the cases have used, to see that they use everything."""

from collections import Counter

from calls import FORMS, Call, able
from elements import OPERATORS, elements
from memory import BOTTOM, KINDS, USED
from mpi4py import MPI

from collectives.algorithms.language.registry import REGISTRY


class Tally:
    """Counts by kind of thing."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, case, p: int) -> None:
        self.counts["communicators of", str(p)] += 1
        for call, _ in case.calls:
            self.counts["calls", "all"] += case.turns
            if not isinstance(call, Call):
                self.counts["object forms", call.form] += 1
                continue
            self.counts["forms", call.method] += 1
            self.counts["element types", call.element.name] += 1
            if call.operator:
                self.counts["operators", call.operator] += 1
            if call.algorithm:
                self.counts["algorithms", f"{call.primitive}.{call.algorithm.split(':')[0]}"] += 1

    def merged(self, comm: MPI.Intracomm) -> "Tally":
        """Of all ranks together; each case has been counted on one."""
        whole = Tally()
        for counts, used in comm.allgather((self.counts, USED)):
            whole.counts.update(counts)
            whole.counts.update({("kinds of memory", kind): n for kind, n in used.items()})
        return whole

    def of(self, kind: str) -> dict[str, int]:
        return {name: n for (group, name), n in self.counts.items() if group == kind}

    def missing(self, p: int, gaps: bool) -> list[str]:
        """What has never been used although it could have been."""
        return [
            name
            for kind, names in _everything(p, gaps).items()
            for name in names - {*self.of(kind)}
        ]

    def __str__(self) -> str:
        kinds = [
            "forms",
            "object forms",
            "algorithms",
            "element types",
            "operators",
            "kinds of memory",
        ]
        used = [f"{len(self.of(kind))} {kind}" for kind in kinds]
        sizes = sorted(map(int, self.of("communicators of")))
        return f"{', '.join(used)}, on {sizes[0]} to {sizes[-1]} ranks"


def _everything(p: int, gaps: bool) -> dict[str, set[str]]:
    methods = {
        method
        for form in FORMS
        for method in (form.capitalize(), f"I{form}", f"{form.capitalize()}_init")
    }
    return {
        "forms": methods,
        "algorithms": {
            f"{primitive}.{name}"
            for primitive in REGISTRY
            for size in range(1, p + 1)
            for name in able(primitive, size, None)
        },
        "element types": {element.name for element in elements(gaps)},
        "kinds of memory": {"numpy", BOTTOM, *KINDS},
        "operators": {name for names in OPERATORS.values() for name in names},
    }
