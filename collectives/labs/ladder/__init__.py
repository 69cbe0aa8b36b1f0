"""The ladder of checks, one rung a file.

contract    (1) the file may be imported and its steps keep the rules
progress    (2) it ends, whether or not a send waits for its recv
result      (3) each element holds what it should, for many p, roots and lengths
path        (4) messages and bytes, one after the other, are as few as the task asks
prediction  (5) simulated time, and the student's own prediction of it
mpirun      (6) the recorded rounds run over MPI, beside the built-in

Each has `climb(attempt)`, which returns a `Step`.
"""
