"""The house: who may import whom, and what every algorithm's page must have."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from collectives import algorithms as ground_floor
from collectives import errors
from collectives.algorithms import PRIMITIVES, REGISTRY
from collectives.algorithms.registry import AUTO
from collectives.catalogue import DEFAULTS, find
from collectives.choice import choices

ALGORITHMS = Path(ground_floor.__file__).parent
COLLECTIVES = Path(errors.__file__).parent
EVERY = [algorithm for names in REGISTRY.values() for algorithm in names.values()]
THE_FOUR = ("naive", "ring", "recursive_doubling", "tree")

every = pytest.mark.parametrize("algorithm", EVERY, ids=str)


def sources(folder):
    """The Python files of one floor, those of the floors beside it left out."""
    found = sorted(path for path in folder.rglob("*.py"))
    others = {ALGORITHMS, COLLECTIVES / "bench"} - {folder}
    return [path for path in found if not others & set(path.parents)]


def imports(path):
    """Modules that a file imports anywhere, relative ones with their dots."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module.rstrip('.')}.{alias.name}" for alias in node.names)


def test_there_is_something_to_test():
    assert len(sources(ALGORITHMS)) >= 17 and len(sources(COLLECTIVES)) >= 10


@pytest.mark.parametrize("path", sources(ALGORITHMS), ids=lambda path: path.name)
def test_algorithms_import_numpy_and_themselves(path):
    for module in imports(path):
        own = module.startswith(".") and not module.startswith("..")
        top = module.partition(".")[0]
        assert own or top == "numpy" or top in sys.stdlib_module_names, module


@pytest.mark.parametrize("path", sources(COLLECTIVES), ids=lambda path: path.name)
def test_collectives_do_not_know_the_bench(path):
    for module in imports(path):
        assert not re.match(r"(collectives\.)?bench\b", module)
        assert module != "algorithms" and not module.startswith("algorithms."), "a second copy"


@pytest.mark.parametrize("path", sources(COLLECTIVES / "engines"), ids=lambda path: path.name)
def test_engines_know_no_algorithm(path):
    for module in imports(path):
        if module.startswith("collectives.algorithms"):
            assert re.match(r"collectives\.algorithms\.(steps|memory|blocks)\b", module), module
        assert not re.match(r"collectives\.(api|catalogue|simulation|verify)\b", module), module


def test_only_the_driver_resumes_algorithms():
    for path in sources(COLLECTIVES):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "next":
                resumes = "generator" in ast.unparse(node.args[0])
                assert resumes == (path.name == "driver.py"), f"{path.name}:{node.lineno}"


@pytest.mark.parametrize(
    "statement",
    [
        "import collectives",
        "import collectives; collectives.count('allreduce', 'ring', p=8, n=64)",
        "import collectives.algorithms, collectives.verify, collectives.simulation",
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
    assert "folklore" in algorithm.reference or re.search(r"\b(19|20)\d\d\b", algorithm.reference)


@every
def test_restrictions_line(algorithm):
    declared = {
        "commutative op": algorithm.commutative,
        "power of two": algorithm.power_of_two,
        "lossy, sums of floating-point numbers": algorithm.lossy,
        f"at least {algorithm.minimum_p}": algorithm.minimum_p > 1,
        "groups of neighbouring ranks": algorithm.needs_groups and algorithm.keeps_order is True,
    }
    for words, holds in declared.items():
        assert (words in algorithm.restrictions) == holds
    assert (algorithm.restrictions == "none") == (not any(declared.values()))


@every
def test_parameters_are_explained(algorithm):
    text = inspect.getdoc(algorithm.generator)
    assert all(f"`{name}`" in text for name in algorithm.parameters)


@pytest.mark.parametrize("path", sources(ALGORITHMS), ids=lambda path: path.name)
def test_bodies_fit_on_a_page(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            assert body[-1].end_lineno - body[0].lineno < 30, node.name
