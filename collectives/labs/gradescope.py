"""The zip that Gradescope wants: two scripts, and wheels of all that they need.

https://gradescope-autograders.readthedocs.io/en/latest/specs/ says what is run when.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from collectives import errors
from collectives.errors import ArgumentError
from collectives.labs.lab import Lab

SCRIPTS = Path(__file__).with_name("graders")

NAME = "mpi-collectives"
EXTRA = f"{NAME}[mpich]"

# Kinds of wheels that run where Gradescope's images do; glibc 2.28 is that of 2018.
PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux_2_5", "manylinux1")

# Before this Python, TOML is read by a package of its own.
TOML = (3, 11)

RUNS = 0o755 << 16  # what a zip notes of a program


def write(lab: Lab, path: Path, python: str, options: Sequence[str], machine: str) -> None:
    """Collect the wheels, and write the zip.

    Parameters
    ----------
    lab : Lab
    path : Path
    python : str
        The Python of the image: `3.10`.
    options : sequence of str
        More, for `grade`.
    machine : str
        `x86_64` or `aarch64`.

    Raises
    ------
    ArgumentError
        Wheels cannot be had.
    """
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        wheels = collect(Path(folder), python, machine)
        words = {"@PYTHON@": python, "@LAB@": lab.key, "@WANTED@": f"'{EXTRA}'"}
        words["@OPTIONS@"] = " ".join(options)
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as zipped:
            for name in ("setup.sh", "run_autograder"):
                zipped.writestr(_program(name), _filled(SCRIPTS / name, words))
            for wheel in sorted(wheels):
                zipped.write(wheel, f"wheels/{wheel.name}")


def collect(folder: Path, python: str, machine: str) -> list[Path]:
    """Wheels of this library, of all that it needs, and of pip; made here where this is a
    checkout.
    """
    home = Path(errors.__file__).parent.parent
    wanted = [EXTRA]
    if (home / "setup.cfg").is_file():
        _pip(["wheel", "--no-deps", "--wheel-dir", str(folder), str(home)])
        [mine] = folder.glob("*.whl")
        wanted = [f"{mine}[mpich]"]
    kinds = [f"--platform={platform}_{machine}" for platform in PLATFORMS]
    wanted += ["pip"]
    if tuple(map(int, python.split("."))) < TOML:
        wanted.append("tomli>=2")  # pip asks the Python that runs it whether that is needed
    given = ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    _pip(["download", "--dest", str(folder), *given, *kinds, *wanted])
    return [*folder.glob("*.whl")]


def _pip(arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ArgumentError(
            f"labs: wheels of all that {NAME} needs are needed, got {done.stderr.strip()[-500:]}; "
            f"see that `pip {arguments[0]}` works"
        )


def _program(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = RUNS
    return info


def _filled(script: Path, words: dict[str, str]) -> str:
    text = script.read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(word, value)
    return text
