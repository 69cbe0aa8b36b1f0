"""Engines: what a round of an algorithm does.

driver      turns what an algorithm yields into checked rounds
simulator   all ranks in one process, under a clock; no MPI
plan        the recorded rounds of one rank
stages      a plan as groups of messages with the local work before and after
relocation  the stages of a plan on other memory
blocking    a plan over an mpi4py communicator
persistent  the same with its messages set up once
nonblocking the same, advanced bit by bit
progress    who advances what is in flight
"""
