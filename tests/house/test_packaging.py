"""One package from three folders: what a wheel holds, and from where it can be imported."""

import configparser
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
# folder of the checkout -> its place in the installed package
FOLDERS = {
    "collectives": "collectives",
    "algorithms": "collectives/algorithms",
    "bench": "collectives/bench",
}


def run(*command, cwd, **variables):
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_installed(*command, cwd, installed):
    """Run Python with the package in `installed` and our dependencies, but without the hook
    that an editable install leaves in site-packages: it would find what the package lacks.
    -S is what keeps the hook out."""
    paths = [installed, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return run("-S", *command, cwd=cwd, PYTHONPATH=os.pathsep.join(map(str, paths)))


# Data of labs: Python files that no module imports.
HANDED_OUT = {"course", "graders", "solutions"}


def sources():
    """Every .py file of the package: its path in the checkout and its path once installed."""
    for folder, home in FOLDERS.items():
        for path in (CHECKOUT / folder).rglob("*.py"):
            if HANDED_OUT & {each.name for each in path.parents}:
                continue
            yield path, f"{home}/{path.relative_to(CHECKOUT / folder).as_posix()}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel, built from a copy so that the checkout stays free of build litter."""
    tmp = tmp_path_factory.mktemp("wheel")
    copy = tmp / "checkout"
    copy.mkdir()
    for name in ["setup.cfg", "pyproject.toml", "LICENSE", "README.md"]:
        if (CHECKOUT / name).exists():
            shutil.copy(CHECKOUT / name, copy)
    for folder in FOLDERS:
        shutil.copytree(
            CHECKOUT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    # setuptools is one of our test requirements, so the build needs no network
    run(
        *["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"],
        *["--wheel-dir", str(tmp), str(copy)],
        cwd=tmp,
    )
    return next(tmp.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    target = tmp_path_factory.mktemp("installed").resolve()
    run(
        *["-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)],
        cwd=target,
    )
    return target


@pytest.fixture(params=["elsewhere", "checkout"])
def cwd(request, tmp_path):
    """In the checkout, the folder ./collectives shadows the installed package."""
    return CHECKOUT if request.param == "checkout" else tmp_path


def test_every_package_directory_is_listed():
    config = configparser.ConfigParser()
    config.read(CHECKOUT / "setup.cfg")
    listed = config["options"]["packages"].split()
    found = {home.rpartition("/")[0].replace("/", ".") for _, home in sources()}
    assert sorted(listed) == sorted(found)


def test_every_package_directory_has_an_init():
    for path, _ in sources():
        assert (path.parent / "__init__.py").is_file()


def test_wheel_holds_one_package_and_nothing_else(wheel):
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    [info] = top - {"collectives"}
    assert info.startswith("mpi_collectives-") and info.endswith(".dist-info")


def test_wheel_holds_every_source_file(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    folder = CHECKOUT / "collectives"
    files = [x for x in folder.rglob("*") if x.is_file() and "__pycache__" not in x.parts]
    handed_out = {x for x in files if HANDED_OUT & set(x.parts)}
    data = {x.relative_to(folder).as_posix() for x in files if x.suffix != ".py" or x in handed_out}
    expected = {home for _, home in sources()} | {f"collectives/{name}" for name in data}
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_installed_package_imports_from_anywhere(installed, cwd):
    script = """
import collectives, collectives.engines, collectives.algorithms, collectives.bench
for module in collectives, collectives.engines, collectives.algorithms, collectives.bench:
    print(module.__file__)
"""
    files = run_installed("-c", script, cwd=cwd, installed=installed).splitlines()
    if cwd == CHECKOUT:
        folders = ["collectives", "collectives/engines", "algorithms", "bench"]
    else:
        folders = ["collectives", *(f"collectives/{x}" for x in ("engines", "algorithms", "bench"))]
    root = CHECKOUT if cwd == CHECKOUT else installed
    assert [Path(file).resolve().parent for file in files] == [root / x for x in folders]


def test_command_line_works_from_anywhere(installed, cwd):
    for command in (["list"], ["why", "allreduce"]):
        printed = run_installed("-m", "collectives", *command, cwd=cwd, installed=installed)
        assert "allreduce" in printed


def test_import_is_light():
    """`import collectives` must not start MPI, nor load what only some commands need."""
    printed = run("-c", "import sys, collectives; print(*sys.modules)", cwd=CHECKOUT)
    heavy = {"mpi4py.MPI", "rich", "collectives.bench", "matplotlib", "pytest", "hypothesis"}
    assert heavy.isdisjoint(printed.split())


def test_algorithms_and_bench_are_no_names_of_their_own(installed):
    script = """
import importlib.util
print(importlib.util.find_spec("algorithms"), importlib.util.find_spec("bench"))
"""
    assert run_installed("-c", script, cwd=installed, installed=installed).split() == ["None"] * 2
