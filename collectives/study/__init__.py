"""What can be said of an algorithm without running it over MPI.

simulation   run it in the simulator, and count
cost         its cost line, and the critical path that it stands for
bounds       what nothing can beat, and optimality, both side by side
pricing      what the candidates of `auto` cost; why, in words
symbolic     proofs; verify, runs with data; compression, what lossy ones lose
"""
