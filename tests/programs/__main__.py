"""The test suites of programs that others wrote, on `Comm` and on plain mpi4py.

    python tests/programs [suite ...] [--ranks 2] [--only test_cco]

Each file of a suite runs twice under mpirun: by `python -m mpi4py` and, unchanged, by
`python -m collectives run`. What passes in the first run and not in the second is a fault
of ours.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

from collectives.console import console, table

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SOURCES = Path(sys.prefix) / "suites"
LOGS = ROOT / "build" / "programs"
LIMIT = 1200  # seconds for one file
PYTEST = ["-m", "pytest", "-q"]
PYTEST += [x for name in ("outcomes", "no:cacheprovider", "no:faulthandler") for x in ("-p", name)]

# The folder of a package's source archive that has the tests, and what pytest needs for them.
# Left out: a test of the time that a plan of FFTW takes.
SUITES = {
    "mpi4py": ("test", []),
    "mpi4py-fft": ("tests", ["-k", "not timelimit"]),
    "pylops-mpi": ("tests", ["--with-mpi"]),
}
# What cannot pass on Comm, and why.
KNOWN = {
    r"::testCommLock$": "it looks for a lock within mpi4py's own bcast",
    r"test_objmodel.py::TestObjModel::test(Handle|CAPI)$": "fromhandle and C give mpi4py's class",
    r"::testSafeFreeConstant$": "free leaves a Comm of a constant alone, which it wants to be null",
    r"test_comm_topo.py::TestTopo\w+::test\w+comm(Adjacent)?$": "MPI.Comm.fromint gives mpi4py's",
}
PLAIN, OURS = RUNNERS = {
    "mpi4py": ["-m", "mpi4py"],
    "Comm": ["-m", "collectives", "run"],
}
WRONG = "fail on\nComm alone", "known\nto fail"
WORST_LAST = ["passed", "skipped", "begun", "failed"]


def sources(name):
    """The folder of a package's source archive, of the version that is installed; fetched once."""
    folder = SOURCES / f"{name.replace('-', '_')}-{version(name)}"
    if not folder.is_dir():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", name, "--dest", str(SOURCES), f"{name}=={version(name)}"]
        subprocess.run(command, check=True)
        with tarfile.open(f"{folder}.tar.gz") as archive:
            archive.extractall(SOURCES, filter="data")
    return folder


def run(runner, file, ranks, options):
    """What became of each test of a file, the worst of all ranks: its name -> outcome, reason."""
    log = LOGS / f"{file.parent.parent.name}-{file.stem}-{runner}"
    for old in LOGS.glob(f"{log.name}-*"):
        old.unlink()
    command = [Path(sys.executable).with_name("mpirun"), "-n", str(ranks), sys.executable]
    command += [*RUNNERS[runner], *PYTEST, *options, file.name]
    added = {"OUTCOMES": str(log), "MPIEXEC_TIMEOUT": str(LIMIT)}
    added["PYTHONPATH"] = os.pathsep.join([str(HERE), str(ROOT)])
    with open(f"{log}-output.txt", "w", encoding="utf-8") as output:
        subprocess.run(
            command,
            cwd=file.parent,
            env={**os.environ, **added},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=LIMIT + 60,
            check=False,
        )
    worst = {}
    for rank in range(ranks):
        for test, (outcome, why) in outcomes(Path(f"{log}-{rank}.jsonl")).items():
            before = worst.get(test, (WORST_LAST[0], ""))
            worst[test] = max(before, (outcome, why), key=lambda x: WORST_LAST.index(x[0]))
    return worst


def outcomes(path):
    """What a rank has written down last of each test."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else ()
    return {test: (outcome, why) for test, outcome, why in map(json.loads, lines)}


def compare(suite, only, ranks):
    """Run a suite both ways: how many tests passed, which fail on ours alone, or are known to."""
    folder, options = SUITES[suite]
    passed, faults = dict.fromkeys(RUNNERS, 0), ([], [])
    for file in sorted((sources(suite) / folder).glob("test_*.py")):
        if only not in file.name:
            continue
        found = {runner: run(runner, file, ranks, options) for runner in RUNNERS}
        good = {
            runner: {test for test, (outcome, _) in tests.items() if outcome == "passed"}
            for runner, tests in found.items()
        }
        for runner in RUNNERS:
            passed[runner] += len(good[runner])
        print(f"{suite} {file.name}:", *(f"{len(good[x])} on {x}" for x in RUNNERS), flush=True)
        for test in sorted(good[PLAIN] - good[OURS]):
            name = test.rpartition("/")[2]
            known = [why for pattern, why in KNOWN.items() if re.search(pattern, name)]
            outcome, why = found[OURS].get(test, ("never begun", ""))
            faults[bool(known)].append(name)
            print(f"    {name} {outcome} {why}", *(f"(known: {x})" for x in known), flush=True)
    return passed, *faults


def main():
    parser = argparse.ArgumentParser("tests/programs", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="suite", help=", ".join(SUITES))
    parser.add_argument("--ranks", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--only", default="", help="files whose name contains this")
    arguments = parser.parse_args()
    unknown = set(arguments.suites) - set(SUITES)
    if unknown:
        parser.error(f"no such suite: {', '.join(unknown)}; choose from {', '.join(SUITES)}")
    LOGS.mkdir(parents=True, exist_ok=True)
    new = table("Tests that passed", "suite", *RUNNERS, *WRONG, numbers=True)
    wrong = 0
    for suite in arguments.suites or SUITES:
        passed, faults, known = compare(suite, arguments.only, arguments.ranks)
        numbers = *passed.values(), len(faults), len(known)
        new.add_row(f"{suite} {version(suite)}", *map(str, numbers))
        wrong += len(faults)
    console().print(new)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
