"""The simulator held against measurements: `docs/model.md` and how it comes about.

`__main__` has two commands. `run` starts a box for each of `runs.CONFIGURATIONS`, in which
`measured` takes the machine's parameters and the times of all calls and writes them to a
file. `page` reads these files, asks the simulator what it would have said (`compare`), and
writes the page.
"""
