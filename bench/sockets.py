"""What a plain TCP socket reaches between two nodes: the bound for every algorithm there.

::

    mpirun -n 2 -ppn 1 python -m collectives.bench.sockets [SECONDS] [--json FILE]

No MPI and no algorithm can move payload faster than a socket that does nothing else. The
first rank of the first node and that of the second one connect, and measure how many bytes a
second arrive, one way and both ways at once, and half the time of a round trip of one
byte. All other ranks sleep meanwhile. Then every node sends to the next one at the same time:
what is missing there is lost in the kernels or the switch. Linux only.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import socket
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from mpi4py import MPI

from collectives import files

from .program import Parser, Usage, add_seconds, options, start
from .report import header
from .rounds import Layout
from .stop import Stop
from .system import system

SECONDS = 1.0
SETTLE = 0.3  # seconds until the stream is steady, and what a link has saved up is spent
CHUNK = 2**16
TURNS = 500  # round trips
SIOCGIFADDR = 0x8915  # ask for the IPv4 address of a card
PATIENCE = 10.0  # seconds to connect in


@dataclass(frozen=True)
class Payload:
    """What a socket reaches.

    Attributes
    ----------
    one_way, both_ways : float
        Bytes a second that arrive; both ways, in the slower direction.
    half_trip : float
        Seconds, the least.
    together : float
        Bytes a second that arrive at each node, at the slowest, while all send to the next one.
    """

    one_way: float
    both_ways: float
    half_trip: float
    together: float


def addresses() -> list[str]:
    """The IPv4 addresses by which others may reach this host."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _, name in socket.if_nameindex():
            try:
                request = struct.pack("256s", name.encode()[:15])
                found.append(socket.inet_ntoa(fcntl.ioctl(any_socket, SIOCGIFADDR, request)[20:24]))
            except OSError:  # a card without one
                continue
    return [address for address in found if not address.startswith("127.")]


def connected(comm: MPI.Intracomm, source: int, dest: int) -> socket.socket:
    """A socket between two ranks, at either of them."""
    if comm.rank == dest:
        with _server() as server:
            comm.send(_door(server), source)
            return _tuned(server.accept()[0])
    return _tuned(_reach(*comm.recv(source=dest)))


def around(comm: MPI.Intracomm) -> tuple[socket.socket, socket.socket]:
    """Sockets from the left neighbour and to the right one; collective."""
    left, right = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
    with _server() as server:
        door = comm.sendrecv(_door(server), left, source=right)
        to_right = _tuned(_reach(*door))
        return _tuned(server.accept()[0]), to_right


def _server() -> socket.socket:
    server = socket.create_server(("", 0))
    server.settimeout(PATIENCE)
    return server


def _door(server: socket.socket) -> tuple[list[str], int]:
    """Where others knock."""
    return addresses(), server.getsockname()[1]


def _tuned(stream: socket.socket) -> socket.socket:
    stream.settimeout(None)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def _reach(some: Sequence[str], port: int) -> socket.socket:
    for address in some:
        try:
            return socket.create_connection((address, port), PATIENCE / len(some))
        except OSError:
            continue
    raise OSError(f"a rank on another node must be reached at one of its addresses, got {some}")


def half_trip(stream: socket.socket, first: bool) -> float:
    """Least seconds of half a round trip of one byte."""
    best = float("inf")
    for _ in range(TURNS):
        begin = time.perf_counter()
        if first:
            stream.sendall(b"x")
            stream.recv(1)
        else:
            stream.recv(1)
            stream.sendall(b"x")
        best = min(best, (time.perf_counter() - begin) / 2)
    return best


def send_for(stream: socket.socket, seconds: float) -> None:
    """Send as much as passes, then the end of the stream."""
    chunk = bytes(CHUNK)
    end = time.perf_counter() + SETTLE + seconds
    while time.perf_counter() < end:
        stream.sendall(chunk)
    stream.shutdown(socket.SHUT_WR)


def receive(stream: socket.socket, seconds: float) -> float:
    """Bytes a second that arrive once the stream is steady; takes all there is.

    Time runs from the first bytes, so that a receiver which gets its core late measures as long.
    0 if too little arrived to tell.
    """
    memory = bytearray(CHUNK)
    begin = since = until = 0.0
    counted = 0
    while size := stream.recv_into(memory):
        now = time.perf_counter()
        begin = begin or now
        if since and (now < since + seconds or until == since):
            counted, until = counted + size, now
        elif not since and now >= begin + SETTLE:
            since = until = now
    return counted / (until - since) if until > since else 0.0


def payload(comm: MPI.Intracomm, seconds: float) -> Payload:
    """Measure; collective, the same on all ranks."""
    layout = Layout(comm)
    first = layout.near.rank == 0
    layout.free()
    nodes = MPI.Intracomm(comm.Split(int(not first), comm.rank))
    found = None
    if first:
        found = _between(nodes, seconds) if nodes.rank < 2 else None
        _sleep_until_all(nodes)
        found = _all_at_once(nodes, seconds, nodes.bcast(found))
    _sleep_until_all(comm)
    nodes.Free()
    return comm.bcast(found)


def _between(comm: MPI.Intracomm, seconds: float) -> Payload:
    """Between ranks 0 and 1; the same on both."""
    with connected(comm, 0, 1) as stream:
        trip = half_trip(stream, comm.rank == 0)
        one_way = 0.0
        if comm.rank == 0:
            send_for(stream, seconds)
            stream.recv(1)  # the other one has all
        else:
            one_way = receive(stream, seconds)
    with connected(comm, 0, 1) as stream:
        mine = _duplex(stream, stream, seconds)
    peer = 1 - comm.rank
    other = comm.sendrecv((one_way, mine), peer, source=peer)
    return Payload(max(one_way, other[0]), min(mine, other[1]), trip, 0.0)


def _all_at_once(comm: MPI.Intracomm, seconds: float, found: Payload) -> Payload:
    """The same with what arrives at each while all send to the next."""
    left, right = around(comm)
    with left, right:
        comm.Barrier()
        mine = _duplex(left, right, seconds)
    return replace(found, together=comm.allreduce(mine, MPI.MIN))


def _duplex(left: socket.socket, right: socket.socket, seconds: float) -> float:
    """Bytes a second that arrive at one socket while as much as passes leaves by the other."""
    sending = threading.Thread(target=send_for, args=(right, seconds))
    sending.start()
    arrived = receive(left, seconds)
    sending.join()
    return arrived


def _sleep_until_all(comm: MPI.Intracomm) -> None:
    """A barrier that leaves the cores to others."""
    request = comm.Ibarrier()
    while not request.Test():
        time.sleep(0.01)


def main(comm: MPI.Intracomm, given: argparse.Namespace) -> None:
    """Measure; rank 0 prints, and writes."""
    where = system(comm)
    found = payload(comm, given.seconds)
    if comm.rank > 0:
        return
    print(header(where))
    print(f"\none way    {found.one_way / 1e6:8.2f} MB/s of payload")
    print(f"both ways  {found.both_ways / 1e6:8.2f} MB/s in each direction")
    print(f"together   {found.together / 1e6:8.2f} MB/s from each node to the next, all at once")
    print(f"half trip  {found.half_trip * 1e6:8.1f} us")
    if given.json is not None:
        files.write(given.json, json.dumps(asdict(found)) + "\n", "--json")


def program(comm: MPI.Intracomm, arguments: Sequence[str], stop: Stop) -> int:
    """Read the options, and do what they say."""
    parser = Parser("collectives.bench.sockets")
    add_seconds(parser, SECONDS, "for each direction")
    parser.add_argument("--json", metavar="FILE", help="also write what was found to FILE")

    def checked(given: argparse.Namespace) -> argparse.Namespace:
        if comm.rank == 0 and given.json is not None:
            files.check_target(given.json, "--json")
        near = comm.Split_type(MPI.COMM_TYPE_SHARED)
        alone = near.size == comm.size
        near.Free()
        if alone:
            raise Usage("ranks on two nodes are needed, got one; try collectives.bench.box")
        return given

    main(comm, options(comm, parser, arguments, checked))
    return 0


if __name__ == "__main__":
    start(program)
