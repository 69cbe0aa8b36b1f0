"""A cluster in a box: MPI over a network that is slow on purpose, on one Linux machine.

Every host is a network namespace with one link to a switch, and each link passes no more
than so many bits a second, both ways. `__main__` reads the options and starts `inside`
in namespaces of its own; `inside` builds what `network` has planned, and runs the
command. When it ends, however it ends, the kernel takes all of it away: nothing is ever
made outside of those namespaces, so two boxes at a time do not meet, whatever their names.
"""
