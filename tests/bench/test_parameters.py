"""The machine's parameters: what is made of the times, and the file."""

import re
from dataclasses import replace

import pytest
from launch import mpirun

from collectives.bench import parameters
from collectives.bench.rounds import SIZES, Way, line
from collectives.bench.system import System
from collectives.machine import machine

NEAR = Way(5e-6, 2e-10, 1e-6, 4096, [5e-6 + 2e-10 * size for size in SIZES])
FAR = Way(1e-4, 4e-8, 2e-5, 65536, [1e-4 + 4e-8 * size for size in SIZES])
WORK = [1e-6 + 5e-11 * size for size in SIZES]
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
    found = parameters.Measured(2, 2, NEAR, FAR, TOGETHER, WORK, WORK)
    path = tmp_path / "cluster.toml"
    path.write_text(parameters.toml(found, WHERE))
    read = machine(path)
    assert read.groups(4) == (0, 0, 1, 1) and read.eager == 65536
    assert read.clock.alpha == pytest.approx(1e-4) and read.clock.beta == pytest.approx(4e-8)
    assert read.near.alpha == pytest.approx(5e-6) and read.near.beta == pytest.approx(2e-10)
    assert read.clock.o == pytest.approx(2e-5) and read.clock.gamma == pytest.approx(5e-11)
    assert read.nic == pytest.approx(2 / 8e-8)  # two ranks send at once, each half as fast


def test_a_file_for_one_node_is_flat(tmp_path):
    found = parameters.Measured(1, 2, NEAR, None, None, WORK, WORK)
    path = tmp_path / "node.toml"
    path.write_text(parameters.toml(found, WHERE))
    assert machine(path).network is None
    assert machine(path).clock.alpha == pytest.approx(NEAR.alpha)


def test_a_link_that_lets_short_blocks_pass_has_its_rate_from_long_ones():
    rounds = [1e-4 + 4e-8 * max(0, size - 32768) for size in SIZES]
    assert line(rounds) == pytest.approx((1e-4, 4e-8), rel=0.05)


def test_noise_leaves_a_rate():
    rounds = [*[1e-4] * (len(SIZES) - 2), 0.03, 0.02]
    alpha, beta = line(rounds)
    assert alpha >= 0 and beta == pytest.approx(0.02 / SIZES[-1])


def test_there_is_a_line_for_pasting_unless_ranks_share_cores(capsys):
    found = parameters.Measured(2, 2, NEAR, FAR, TOGETHER, WORK, WORK)
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
    assert re.search(r"^512 KiB( +[\d.]+){4}$", run.out, re.M)
    assert machine(path).eager >= 8 and machine(path).clock.beta > 0


def test_one_rank_is_too_few():
    run = mpirun(1, "-m", "collectives.bench.parameters")
    assert run.status == 2 and "a round needs two ranks, got 1" in run.err
