"""The house: who may import whom, and what every algorithm's page must have."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from collectives import algorithms, bench, errors
from collectives.algorithms import PRIMITIVES, REGISTRY
from collectives.algorithms.language.registry import AUTO, PREFIXES
from collectives.catalogue import DEFAULTS, find
from collectives.choice import choices

ALGORITHMS = Path(algorithms.__file__).parent
COLLECTIVES = Path(errors.__file__).parent
BENCH = Path(bench.__file__).parent
EVERY = [algorithm for names in REGISTRY.values() for algorithm in names.values()]
THE_FOUR = ("naive", "ring", "recursive_doubling", "tree")

every = pytest.mark.parametrize("algorithm", EVERY, ids=str)


# The rooms, layer by layer, the highest first. A file imports from its own room and from
# rooms in lower layers, never from its own layer's other rooms or from above.
LAYERS = [
    ["bench"],
    ["__main__"],
    ["llm.commands", "labs.commands"],
    ["commands"],
    ["llm.training", "llm.lesson", "labs"],
    ["llm"],
    ["mpi.program", "explain", "llm.training.model"],
    ["mpi.comm"],
    ["mpi.forms"],
    ["mpi.reproducible", "mpi.api"],
    ["mpi.plans"],
    ["mpi.guards"],
    ["mpi.engines"],
    ["mpi.data", "study"],
    ["choice"],
    ["problems"],
    ["catalogue"],
    ["nodes"],
    ["engines"],
    ["machine"],
    ["operators", "checks", "files"],
    ["errors", "units", "console", "parsers", "references"],
    ["algorithms"],
    ["algorithms.chapters"],
    ["algorithms.primitives"],
    ["algorithms.language"],
]
HEIGHT = {room: -number for number, layer in enumerate(LAYERS) for room in layer}


def files():
    """Every Python file of the package: its dotted name and its path."""
    for folder, prefix in ((COLLECTIVES, ""), (ALGORITHMS, "algorithms."), (BENCH, "bench.")):
        for path in sorted(folder.rglob("*.py")):
            relative = path.relative_to(folder).with_suffix("")
            name = prefix + ".".join(relative.parts)
            if not {"algorithms", "bench"} & set(relative.parts[:-1]) or prefix:
                yield name.removesuffix(".__init__"), path


def room_of(module):
    """The room in which a module stands; None for the package itself, which is no room."""
    if module in ("__init__", ""):
        return None
    if re.fullmatch(rf"algorithms\.({'|'.join(PRIMITIVES)})", module):
        return "algorithms.primitives"
    found = [room for room in HEIGHT if f"{module}.".startswith(f"{room}.")]
    return max(found, key=len) if found else module


def imports(name, path):
    """Modules that a file imports anywhere, whole: those of the package without its name."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                above = package[: len(package) - node.level + 1]
                module = ".".join(["collectives", *above, *filter(None, [module])])
            beside = [f"{module}.{alias.name}" for alias in node.names]
            modules = [each for each in beside if each.removeprefix("collectives.") in MODULES]
            yield from modules or [module]


FILES = list(files())
MODULES = {name for name, _ in FILES}
each_file = pytest.mark.parametrize("name, path", FILES, ids=[name for name, _ in FILES])


def test_there_is_something_to_test():
    assert len(FILES) > 110
    rooms = {room_of(name) for name, _ in FILES} - {None, "mpi"}
    assert rooms == set(HEIGHT)


@each_file
def test_imports_go_down(name, path):
    mine = room_of(name)
    if mine is None:
        return  # it finds the home of every public name, when that is asked for
    for module in imports(name, path):
        assert module.partition(".")[0] not in ("algorithms", "bench"), "a second copy"
        if module.partition(".")[0] != "collectives":
            continue
        other = room_of(module.removeprefix("collectives").lstrip("."))
        if other is None:
            assert mine == "bench", f"{name} imports the package itself: name the module"
            continue
        assert other == mine or HEIGHT[other] < HEIGHT[mine], f"{name} imports {module}"


def test_no_module_needs_itself():
    """No circles, within rooms either."""
    needs = {
        name: {x.removeprefix("collectives.") for x in imports(name, path)} & MODULES - {name}
        for name, path in FILES
        if room_of(name) is not None and path.name != "__init__.py"
    }
    while free := [name for name, others in needs.items() if not others & set(needs)]:
        for name in free:
            del needs[name]
    assert not needs


@each_file
def test_who_may_know_mpi(name, path):
    """The drop-in, the bench, which measures it, what trains on it, and the ranks of labs."""
    trains = name.startswith("llm.training") and not name.startswith("llm.training.model")
    if not trains and not name.startswith(("mpi", "bench", "labs.ranks")):
        assert not [module for module in imports(name, path) if module.startswith("mpi4py")]


@each_file
def test_algorithms_import_numpy_and_themselves(name, path):
    if name.startswith("algorithms"):
        for module in imports(name, path):
            top = module.partition(".")[0]
            ours = module.startswith("collectives.algorithms")
            assert ours or top == "numpy" or top in sys.stdlib_module_names, module


@each_file
def test_engines_know_no_algorithm(name, path):
    if name.startswith(("engines", "mpi.engines")):
        for module in imports(name, path):
            if module.startswith("collectives.algorithms"):
                words = r"collectives\.algorithms\.language(\.(steps|memory|blocks))?"
                assert re.fullmatch(words, module), module


def test_file_names_are_unique_among_tests():
    names = [path.name for path in (COLLECTIVES.parent / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))


def test_only_the_driver_resumes_algorithms():
    for _, path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "next":
                resumes = "generator" in ast.unparse(node.args[0])
                assert resumes == (path.name == "driver.py"), f"{path.name}:{node.lineno}"


@pytest.mark.parametrize(
    "statement",
    [
        "import collectives",
        "import collectives; collectives.count('allreduce', 'ring', p=8, n=64)",
        "import collectives.algorithms, collectives.study.verify, collectives.study.simulation",
        "import collectives; collectives.find('bcast', 'ring:segments=8')",
    ],
)
def test_what_needs_no_mpi_does_not_start_it(statement):
    program = f"{statement}; import sys; sys.exit('mpi4py.MPI' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=COLLECTIVES.parent, check=True, timeout=60)


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_every_primitive_has_the_four(primitive):
    assert tuple(REGISTRY[primitive])[:4] == THE_FOUR


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_default_can_do_everything(primitive):
    for p in range(1, 140):
        names = {DEFAULTS[primitive]}
        if names == {AUTO}:  # whatever its table says where the operator does not commute
            names = {name for _, name in choices().row(primitive, p, commutative=False)[1]}
        for default in (find(primitive, name)[0] for name in names):
            assert not default.commutative and not default.power_of_two and not default.lossy
            assert default.minimum_p == 1


@every
def test_docstring(algorithm):
    text = inspect.getdoc(algorithm.generator)
    assert re.fullmatch(r"[A-Z][^\n]{10,78}\.", algorithm.summary)
    shape = r"[^\n]+\n\n(.+)\n\nCost: .+\nRestrictions: .+\nReference: .+"
    explanation = re.fullmatch(shape, text, re.S)
    assert explanation and len(explanation[1].split()) >= 10
    assert algorithm.cost and "TODO" not in text


@every
def test_restrictions_line(algorithm):
    declared = {
        "commutative op": algorithm.commutative,
        "power of two": algorithm.power_of_two,
        "lossy, sums of floating-point numbers": algorithm.lossy,
        f"at least {algorithm.minimum_p}": algorithm.minimum_p > 1,
        "groups of neighbouring ranks": algorithm.needs_groups
        and algorithm.keeps_order is True
        and algorithm.primitive not in PREFIXES,
    }
    for words, holds in declared.items():
        assert (words in algorithm.restrictions) == holds
    words, _, remark = algorithm.restrictions.partition(";")
    assert (words == "none") == (not any(declared.values()))
    tells = algorithm.primitive == "alltoall" and algorithm.needs_counts
    assert ("an allgather of all p*p counts comes first" in remark) == tells


@every
def test_parameters_are_explained(algorithm):
    text = inspect.getdoc(algorithm.generator)
    assert all(f"`{name}`" in text for name in algorithm.parameters)


@each_file
def test_bodies_fit_on_a_page(name, path):
    if not name.startswith("algorithms"):
        return
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            assert body[-1].end_lineno - body[0].lineno < 30, node.name
