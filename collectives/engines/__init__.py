"""Engines: what a round of an algorithm does, without MPI.

driver      turns what an algorithm yields into checked rounds
simulator   all ranks in one process, under a clock
plan        the recorded rounds of one rank
optimise    the same with less work: propagation, clearing and shortcuts, over places
packing     the local work of a round: pack, copy, reduce
"""
