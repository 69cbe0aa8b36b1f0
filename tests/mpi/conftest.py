"""Tests over MPI leave the library's channel empty.

A test that fails on one rank ends the run there, so what comes after it must
not wait for the other ranks.
"""

import pytest
from common import nothing_arrives
from mpi4py import MPI

from collectives.mpi.plans.channel import channel_of


@pytest.fixture(autouse=True, scope="module")
def nothing_left(request):
    channel = channel_of(MPI.COMM_WORLD)
    yield
    if request.session.testsfailed:
        return
    nothing_arrives(channel)
