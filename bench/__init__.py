"""`mpirun -n 4 python -m collectives.bench`: every algorithm beside the MPI's own.

In reading order: `run` tells the story. `cli` reads the options, `cells` lists
what they ask for, `preflight` simulates it, `calls` and `builtin` make it ready
to be called, `check` looks at the answers, `schedule` says what runs next and
`measure` takes the times. `statistics` boils them down, `results` puts all of it
together, `report` draws the tables and `output` writes the JSON file. `system`
describes the machine, `watch` and `terminal` show the progress. `rehearsal` compares
what the ranks are about to do, `outcome` holds what is known at any time, and `stop`
leaves that when a run is ended early. `program` is what all programs here begin with:
`overhead`, `forms`, `choice` and others are of their own.
"""
