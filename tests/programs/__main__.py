"""The test suites of programs that others wrote, on `Comm` and on plain mpi4py.

    python tests/programs [suite ...] [--ranks 2] [--only test_cco]

Each file of a suite runs twice under mpirun: by `python -m mpi4py` and, unchanged, by
`python -m collectives run`. A test that passes in the first run and not in the second is a
fault of ours.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SOURCES = Path(sys.prefix) / "suites"
LIMIT = 240  # seconds for one file

# Requirement, and the folder of its source archive that has the tests.
SUITES = {
    "mpi4py": ("mpi4py==4.1.2", "test"),
    "mpi4py-fft": ("mpi4py-fft==2.0.6", "tests"),
    "pylops-mpi": ("pylops-mpi==0.8.0", "tests"),
}
RUNNERS = {
    "mpi4py": ["-m", "mpi4py"],
    "Comm": ["-m", "collectives", "run"],
}


def sources(requirement):
    """The folder of a package's source archive, fetched once."""
    name, _, version = requirement.partition("==")
    folder = SOURCES / f"{name.replace('-', '_')}-{version}"
    if not folder.is_dir():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", name, "--dest", str(SOURCES), requirement]
        subprocess.run(command, check=True)
        with tarfile.open(f"{folder}.tar.gz") as archive:
            archive.extractall(SOURCES, filter="data")
    return folder


def run(runner, file, ranks, log):
    """What became of each test of a file: its name -> outcome and reason, the worst of all ranks."""
    for old in log.parent.glob(f"{log.name}-*"):
        old.unlink()
    command = [Path(sys.executable).with_name("mpirun"), "-n", str(ranks), sys.executable]
    command += [*RUNNERS[runner], "-m", "pytest", "-q", "-p", "outcomes", "-p", "no:cacheprovider"]
    command += [
        "-o",
        "faulthandler_timeout=100",
        *([] if "pylops" not in str(file) else ["--with-mpi"]),
        file.name,
    ]
    path = os.pathsep.join([str(HERE), str(ROOT)])
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "OUTCOMES": str(log),
        "MPIEXEC_TIMEOUT": str(LIMIT),
    }
    with open(f"{log}-output.txt", "w") as output:
        subprocess.run(
            command,
            cwd=file.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=LIMIT + 60,
            check=False,
        )
    worst = {}
    for rank in range(ranks):
        latest = {}
        path = Path(f"{log}-{rank}.jsonl")
        for line in path.read_text().splitlines() if path.exists() else ():
            test, outcome, why = json.loads(line)
            latest[test] = outcome, why
        for test, (outcome, why) in latest.items():
            if test not in worst or ORDER.index(outcome) > ORDER.index(worst[test][0]):
                worst[test] = outcome, why
    return worst


ORDER = ["passed", "skipped", "begun", "failed"]


def main():
    parser = argparse.ArgumentParser("tests/programs", description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[[], *SUITES], metavar="suite", default=[])
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--only", default="", help="files whose name contains this")
    arguments = parser.parse_args()
    logs = ROOT / "build" / "programs"
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    table = Table("suite", *[f"passed on {x}" for x in RUNNERS], box=None, pad_edge=False)
    faults = []
    for suite in arguments.suites or SUITES:
        requirement, folder = SUITES[suite]
        passed = defaultdict(set)
        (logs / suite).mkdir(parents=True, exist_ok=True)
        for file in sorted((sources(requirement) / folder).glob("test_*.py")):
            if arguments.only not in file.name:
                continue
            found = {
                x: run(x, file, arguments.ranks, logs / suite / f"{file.stem}-{x}") for x in RUNNERS
            }
            good = {x: {t for t, (o, _) in f.items() if o == "passed"} for x, f in found.items()}
            for x in RUNNERS:
                passed[x] |= good[x]
            bad = sorted(good["mpi4py"] - good["Comm"])
            console.print(
                f"{suite} {file.name}: {len(good['mpi4py'])} on mpi4py, {len(good['Comm'])} on Comm"
            )
            for t in bad:
                faults.append(t)
                console.print("   ", t, *found["Comm"].get(t, ("absent",)), markup=False)
        table.add_row(suite, *[str(len(passed[x])) for x in RUNNERS])
    console.print(table)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
