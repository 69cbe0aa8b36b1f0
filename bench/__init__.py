"""`mpirun -n 4 python -m collectives.bench`: every algorithm and the built-in, side by side.

In reading order: `cells` says what is run, `builtin` and `calls` how, `preflight`
what is known before anything runs, `check` whether an answer is right, `schedule`
what runs next, `measure` takes the times, `statistics` boils them down, `report`
and `output` show them. `cli` holds the options and `run` the whole story.
"""
