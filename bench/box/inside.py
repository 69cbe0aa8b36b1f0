"""The first process inside the box: builds the network, and runs the command.

It is process 1 of namespaces that were made for it. When it ends, the kernel ends every
process that is left and takes the network away.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .network import CARD, SWITCH, Network

# A host is a process that does nothing, in namespaces of its own. Its /sys shows its own
# cards, where UCX looks for them.
HOST = [*("unshare", "--net", "--uts", "--mount", "sh", "-c")]
HOST += ["mount -t sysfs sysfs /sys && exec sleep infinity"]
AT_HOST = ["--net", "--uts", "--mount"]
PATIENCE = 10.0  # seconds that a host may take to come up

# How MPICH reaches another host. Ranks of one host use shared memory, as ever. Left to itself
# UCX asks the receiver first from 2 MiB on, and where two ranks exchange such messages one of
# them waits until the other has passed, because its answer stands in line behind that.
TRANSPORTS = {
    "ucx": {
        "MPIR_CVAR_CH4_NETMOD": "ucx",
        "UCX_TLS": "tcp,self",
        "UCX_NET_DEVICES": CARD,
        "UCX_RNDV_THRESH": "inf",
    },
    "ofi": {"MPIR_CVAR_CH4_NETMOD": "ofi", "FI_PROVIDER": "tcp", "FI_TCP_IFACE": CARD},
}

# A rank that waits sleeps a little instead of turning round and round, which would take the
# core from the ranks that work: all hosts of a box share the cores of one machine.
WAITING = {"MPIR_CVAR_ENABLE_HEAVY_YIELD": "1"}

ENTER = """\
#!/bin/sh
# Stands in for ssh: enters a host, and runs there what mpirun asks for.
while [ "${{1#-}}" != "$1" ]; do shift; done
case $1 in
{hosts}
*) echo "box: no host $1" >&2; exit 1;;
esac
shift
exec nsenter --target "$host" {at} sh -c "$*"
"""


def build(network: Network) -> list[int]:
    """Make the switch and the hosts; returns the process of each host."""
    hosts = [subprocess.Popen(HOST, start_new_session=True).pid for _ in range(network.hosts)]
    _run(network.switch())
    for host, pid in enumerate(hosts):
        _wait_until_up(pid)
        _run(network.cable(host, pid))
        enter = ["nsenter", "--target", str(pid), *AT_HOST]
        _run(network.card(host), enter)
        name = f"echo {network.name(host)} >/proc/sys/kernel/hostname"
        subprocess.run([*enter, "sh", "-c", name], check=True)
    return hosts


def _run(commands: Sequence[str], enter: Sequence[str] = ()) -> None:
    """Run commands of ip and tc, one after the other."""
    for command in commands:
        done = subprocess.run([*enter, *command.split()], capture_output=True, text=True)
        if done.returncode:
            raise OSError(f"{command}: {done.stderr.strip()}")


def _wait_until_up(pid: int) -> None:
    """Until the process of a host has come to sleep."""
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}/comm").read_text().strip() != "sleep":
        if time.monotonic() > deadline:
            raise OSError(f"a host does not come up within {PATIENCE:g} s")
        time.sleep(0.002)


def environment(network: Network, pids: Sequence[int], ranks: Sequence[int]) -> dict[str, str]:
    """What mpirun has to know: its hosts, and its way into them."""
    cases = [f"{network.address(host)}) host={pid};;" for host, pid in enumerate(pids)]
    hosts = [f"{network.address(host)}:{number}" for host, number in enumerate(ranks)]
    return {
        "HYDRA_LAUNCHER": "ssh",
        "HYDRA_LAUNCHER_EXEC": _file(ENTER.format(hosts="\n".join(cases), at=" ".join(AT_HOST))),
        "HYDRA_HOST_FILE": _file("\n".join(hosts) + "\n"),
        "HYDRA_IFACE": SWITCH,
    }


def _file(text: str) -> str:
    """The path of a file that is gone with this process, and is nowhere on the disk."""
    number = os.memfd_create("box")
    os.write(number, text.encode())
    return f"/proc/{os.getpid()}/fd/{number}"


def main(told: dict) -> int:
    """Build, run, and return the command's exit status."""
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: stopped.append(number))
    network = Network(**told["network"])
    try:
        pids = build(network)
    except (OSError, subprocess.CalledProcessError) as error:
        if not stopped:
            print(f"box: the network cannot be made: {error}", file=sys.stderr)
        return 1
    if stopped:
        return 1
    known = environment(network, pids, told["ranks"])
    extra = {"COLLECTIVES_BOX": json.dumps(told["network"])}
    everything = {**WAITING, **os.environ, **TRANSPORTS[told["over"]], **known, **extra}
    print(told["headline"], flush=True)
    # A signal reaches the command, too: all of the box is one session.
    return subprocess.Popen(told["command"], env=everything).wait()


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
