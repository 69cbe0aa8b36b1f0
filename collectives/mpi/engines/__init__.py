"""How a plan is carried out over MPI.

lanes       where the messages of a communicator travel
stages      a round as mpi4py takes it: messages, and local work before and after
calls       a plan as a list of calls: the blocking engine
operation   a plan that is advanced bit by bit: the nonblocking engine
replay      a plan whose messages are set up once: the persistent engine
relocation  a plan on other memory
progress    who advances what is in flight
shield      what holds back what signals raise
signals     messages of a process to itself, by which MPI waits for us
"""
