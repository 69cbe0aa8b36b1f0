"""Tests over MPI leave the library's channel empty."""

import pytest
from mpi4py import MPI

from collectives.channel import channel_of


@pytest.fixture(autouse=True, scope="module")
def nothing_left():
    channel = channel_of(MPI.COMM_WORLD)
    yield
    MPI.COMM_WORLD.Barrier()
    assert not channel.comm.Iprobe(MPI.ANY_SOURCE, MPI.ANY_TAG)
    MPI.COMM_WORLD.Barrier()
