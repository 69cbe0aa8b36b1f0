"""Engines: what a round of an algorithm does.

driver      turns what an algorithm yields into checked rounds
simulator   all ranks in one process, under a clock; no MPI
plan        the recorded rounds of one rank
blocking    a plan over an mpi4py communicator
"""
