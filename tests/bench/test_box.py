"""The cluster in a box: what it is made of, that it works, and that it leaves nothing behind."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from launch import ROOT, launcher

from collectives.bench import sockets
from collectives.bench.box import __main__ as box
from collectives.bench.box.network import Network, parse_rate, placed

MPICH = (
    launcher()
    and "HYDRA" in subprocess.run([launcher(), "--version"], capture_output=True, text=True).stdout
)


def obstacle():
    """Why there can be no box here; empty if there can."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "needs Linux and root"
    if not MPICH:
        return "needs MPICH"
    if any(shutil.which(tool) is None for tool in box.TOOLS):
        return f"needs {', '.join(box.TOOLS)}"
    tried = subprocess.run([*box.APART, "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "the kernel makes no namespaces here"


needs_a_box = pytest.mark.skipif(bool(obstacle()), reason=obstacle() or "-")


def start(*options, program):
    command = [sys.executable, "-m", "collectives.bench.box", *options, "--", *program]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def finish(process, limit=60):
    try:
        output, _ = process.communicate(timeout=limit)
        return process.returncode, output
    finally:
        process.kill()


def outside():
    """What a box must leave as it was: cards, and namespaces of networks."""
    listed = [
        subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout
        for command in ("ip -o link", "ip netns list")
    ]
    names = re.findall(r"^\d+: ([^:@]+)", listed[0], re.M), listed[1].split()
    return [sorted(each) for each in names]


def processes(mark):
    """Those whose command line has the mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            pass
    return found


WHERE = """
import socket, sys
from mpi4py import MPI
comm = MPI.COMM_WORLD
near = comm.Split_type(MPI.COMM_TYPE_SHARED)
names = comm.gather((socket.gethostname(), near.size))
if comm.rank == 0:
    print("on", *sorted(set(names)))
sys.exit(3 if len(sys.argv) > 2 else 0)
"""


@needs_a_box
def test_ranks_of_a_host_are_near_and_others_are_not():
    process = start("--hosts", "2", "--ranks", "4", program=["python", "-c", WHERE])
    status, output = finish(process)
    assert "on ('host0', 2) ('host1', 2)" in output and status == 0
    assert "box: 4 ranks on 2 hosts, 200mbit a link both ways" in output


RATE = """
from mpi4py import MPI
import numpy as np, time
comm = MPI.COMM_WORLD
data, got = np.zeros(250_000, np.uint8), np.empty(250_000, np.uint8)
for _ in range(2):
    comm.Barrier()
    start = time.perf_counter()
    comm.Sendrecv(data, 1 - comm.rank, recvbuf=got, source=1 - comm.rank)
    took = comm.allreduce(time.perf_counter() - start, MPI.MAX)
if comm.rank == 0:
    print("rate", 8e-6 * data.size / took)
"""


@needs_a_box
def test_a_link_is_as_slow_as_was_asked_for():
    status, output = finish(
        start("--hosts", "2", "--rate", "20mbit", program=["python", "-c", RATE])
    )
    rate = float(re.search(r"rate ([\d.]+)", output)[1])
    assert status == 0 and 5 < rate < 25  # the burst passes at once


SLEEP = """
import sys, time
from mpi4py import MPI
if MPI.COMM_WORLD.rank == 0:
    print("up", flush=True)
time.sleep(60)
"""


@pytest.fixture
def started():
    """Starts a box and waits until its program runs; none is left in the end."""
    some = []

    def begin(mark):
        some.append(start("--hosts", "2", program=["python", "-c", SLEEP, mark]))
        headline, up = some[-1].stdout.readline(), some[-1].stdout.readline()
        assert headline.startswith("box: 2 ranks on 2 hosts") and up == "up\n"
        return some[-1]

    yield begin
    for each in some:
        each.kill()
        each.wait(10)
        each.stdout.close()


@pytest.mark.share(2)
@needs_a_box
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_box_that_is_stopped_leaves_nothing(number, started):
    before, mark = outside(), f"mark-{os.getpid()}-{number}"
    other = started(f"{mark}-other")  # two at a time do not meet
    process = started(mark)
    process.send_signal(number)
    assert process.wait(30) == (-number if number == signal.SIGKILL else 128 + number)
    deadline = time.monotonic() + 10
    while len(processes(mark)) > len(processes(f"{mark}-other")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(processes(mark)) == len(processes(f"{mark}-other")) > 0
    other.send_signal(signal.SIGTERM)
    assert other.wait(30) == 128 + signal.SIGTERM
    assert outside() == before and not processes(mark)


@needs_a_box
def test_a_program_that_fails_fails():
    before = outside()
    status, _ = finish(start("--hosts", "2", program=["python", "-c", WHERE, "fail", "now"]))
    assert status == 3 and outside() == before


def test_without_root_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit) as end:
        box.main(["--", "true"])
    assert end.value.code == 2
    assert "root is needed, to make network namespaces" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, message",
    [
        (["--hosts", "1"], "hosts must be 2 to 250, got 1"),
        (["--rate", "0mbit"], "rate must be such as 200mbit or 1gbit"),
        (["--rate", "200"], "rate must be such as"),
        (["--burst", "100"], "burst must be 3000 bytes or more, got 100"),
        (["--burst", "many"], "burst: a size such as 8, 32K or 1M"),
        (["--hosts", "3", "--ranks", "2"], "ranks must be as many as the hosts, 3, got 2"),
    ],
)
def test_wrong_options_are_refused(options, message, capsys):
    with pytest.raises(SystemExit) as end:
        box.main([*options, "--", "true"])
    assert end.value.code == 2 and message in capsys.readouterr().err


def test_ranks_are_in_blocks():
    assert placed(8, 4) == [2, 2, 2, 2]
    assert placed(7, 3) == [3, 2, 2]


def test_rates_are_decimal_bits():
    assert parse_rate("200mbit") == 200 * 10**6 and parse_rate("1.5gbit") == 15 * 10**8


def test_every_card_is_limited():
    network = Network(hosts=3, rate=10**8, burst=16384)
    for commands in (network.cable(2, pid=77), network.card(2)):
        assert sum("tbf rate 100000000bit burst 16384" in command for command in commands) == 1
    assert {network.address(host) for host in range(4)} == {f"10.0.0.{i}" for i in range(1, 5)}


def test_what_the_inside_is_told_passes_as_json(monkeypatch):
    monkeypatch.setattr(box, "needed", lambda: "mpirun")
    given = box.parser().parse_args(["--hosts", "3", "--ranks", "7", "--", "python", "-c", "pass"])
    told = box.ready(given)
    assert json.loads(json.dumps(told))["ranks"] == [3, 2, 2]
    assert told["command"][:3] == ["mpirun", "-n", "7"]


@needs_a_box
def test_a_plain_socket_reaches_the_rate_and_no_more():
    program = ["python", "-m", "collectives.bench.sockets", "0.3"]
    status, output = finish(start("--hosts", "2", "--rate", "50mbit", program=program))
    rates = [float(rate) for rate in re.findall(r"^\w[a-z ]+? +([\d.]+) MB/s", output, re.M)]
    assert status == 0 and len(rates) == 3
    assert all(4 < rate < 6.25 for rate in rates)


def test_a_sender_that_starts_late_is_measured_nevertheless():
    """Where it waits for a core: time runs from the first bytes."""
    left, right = socket.socketpair()
    seconds, late = 0.1, 0.6
    sending = threading.Timer(late, sockets.send_for, (left, seconds))
    sending.start()
    with left, right:
        assert sockets.receive(right, seconds) > 0
        sending.join()
