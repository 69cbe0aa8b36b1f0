"""The machine's parameters: what is made of the times, and the file."""

import re
from dataclasses import replace

import pytest
from launch import mpirun

from collectives.bench import parameters
from collectives.bench.rounds import SIZES, Bucket, Way, line
from collectives.bench.system import System
from collectives.machine import machine
from collectives.study.pricing import price

NEAR = Way(5e-6, 2e-10, 1e-6, 4096, [5e-6 + 2e-10 * size for size in SIZES])
FAR = Way(1e-4, 4e-8, 2e-5, 65536, [1e-4 + 4e-8 * size for size in SIZES])
COPY = 5e-11  # seconds a byte; a rank copies its own block once
WORK = [1e-6 + COPY * size for size in SIZES]
ALONE = [5e-6 + 1e-10 * size for size in SIZES]  # twice as fast as with another one
TOGETHER = [1e-4 + 8e-8 * size for size in SIZES]

WHERE = System(
    collectives="0",
    mpi="MPICH 0",
    mpi_library="",
    mpi4py="0",
    numpy="0",
    python="3",
    platform="",
    hosts=["one", "one", "two", "two"],
    cores=4,
    sharing=4,
    one_clock=True,
    load=0.0,
    timer_ns=50.0,
    environment={},
)


def test_a_file_for_nodes_is_read_as_a_machine(tmp_path):
    found = parameters.Measured(2, 2, NEAR, FAR, ALONE, TOGETHER, WORK, WORK)
    path = tmp_path / "cluster.toml"
    path.write_text(parameters.toml(found, WHERE))
    read = machine(path)
    assert read.groups(4) == (0, 0, 1, 1) and read.eager == 65536
    assert read.clock.alpha == pytest.approx(1e-4) and read.clock.beta == pytest.approx(4e-8)
    assert read.near.alpha == pytest.approx(5e-6) and read.near.beta == pytest.approx(1e-10)
    assert read.memory == pytest.approx(2 / 2e-10)  # two ranks, each as fast as in the ring
    assert read.clock.o == pytest.approx(2e-5) and read.clock.gamma == pytest.approx(5e-11)
    assert read.nic == pytest.approx(2 / 8e-8)  # two ranks send at once, each half as fast


def one_node(ranks, path):
    """A node of such ranks, as its file describes it."""
    found = parameters.Measured(1, ranks, NEAR, None, ALONE, None, WORK, WORK)
    path.write_text(parameters.toml(found, WHERE))
    return machine(path)


def test_one_node_prices_messages_alone_and_exchanges_as_measured(tmp_path):
    """One way a message has its own rate; both ways, the two share what the memory passes."""
    here, n = one_node(2, tmp_path / "node.toml"), 2**22
    assert here.groups(2) == (0, 0)
    alone = price("bcast", "tree", 2, n, here)
    assert alone == pytest.approx(NEAR.alpha + 1e-10 * n, rel=0.03)
    exchange = price("allgather", "ring", 2, 2 * n, here)
    assert exchange == pytest.approx(NEAR.alpha + 2e-10 * n + COPY * n, rel=0.03)


def test_a_ring_of_a_whole_node_is_priced_as_measured(tmp_path):
    here, n = one_node(4, tmp_path / "node.toml"), 2**22
    time = 3 * (NEAR.alpha + 2e-10 * n) + COPY * n
    assert price("allgather", "ring", 4, 4 * n, here) == pytest.approx(time, rel=0.03)


def test_a_message_alone_is_never_slower_than_among_others(tmp_path):
    """Where noise says so."""
    found = parameters.Measured(1, 2, NEAR, None, TOGETHER, None, WORK, WORK)
    assert found.near_rate == pytest.approx(1 / NEAR.beta)


def test_a_link_that_lets_short_blocks_pass_has_its_rate_from_long_ones():
    rounds = [1e-4 + 4e-8 * max(0, size - 32768) for size in SIZES]
    assert line(rounds) == pytest.approx((1e-4, 4e-8), rel=0.05)


def test_a_nic_that_is_a_bucket_has_its_burst_in_the_file(tmp_path):
    """Its ranks have the rate of messages within the burst, the NIC that of long ones."""
    passing = Bucket(32768, 4e8)
    found = parameters.Measured(2, 2, NEAR, FAR, ALONE, TOGETHER, WORK, WORK, passing)
    path = tmp_path / "cluster.toml"
    path.write_text(parameters.toml(found, WHERE))
    read = machine(path)
    assert read.burst == 32768 and read.nic == pytest.approx(2 / 8e-8)
    assert read.clock.beta == pytest.approx(1 / 4e8)
    plain = parameters.toml(replace(found, bucket=Bucket(0, 2.5e7)), WHERE)
    assert "burst" not in plain and 'rate = "25 MB/s"' in plain


def test_noise_leaves_a_rate():
    rounds = [*[1e-4] * (len(SIZES) - 2), 0.03, 0.02]
    alpha, beta = line(rounds)
    assert alpha >= 0 and beta == pytest.approx(0.02 / SIZES[-1])


def test_there_is_a_line_for_pasting_unless_ranks_share_cores(capsys):
    found = parameters.Measured(2, 2, NEAR, FAR, ALONE, TOGETHER, WORK, WORK)
    parameters.show(found, WHERE)
    assert "--alpha 0.0001 --beta 4e-08 --gamma 5e-11" in capsys.readouterr().out
    crowded = replace(WHERE, cores=2)
    parameters.show(found, crowded)
    printed = capsys.readouterr().out
    assert "Warning: 4 ranks share 2 cores" in printed and "--alpha 0" not in printed
    assert "No line with --alpha, --beta and --gamma for pasting: 4 ranks share 2 cores" in printed
    assert "4 ranks shared 2 cores" in parameters.toml(found, crowded)


def test_it_runs(tmp_path):
    path = tmp_path / "here.toml"
    run = mpirun(2, "-m", "collectives.bench.parameters", "0.2", "--write", str(path))
    assert run.status == 0, run.err
    assert re.search(r"^512 KiB( +[\d.]+){5}$", run.out, re.M)
    assert machine(path).eager >= 8 and machine(path).near.beta > 0


def test_one_rank_is_too_few():
    run = mpirun(1, "-m", "collectives.bench.parameters")
    assert run.status == 2 and "a round needs two ranks, got 1" in run.err
