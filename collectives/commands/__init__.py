"""The commands of `python -m collectives`, one file each.

Each has `add(commands)`, which adds its parser, and `run(arguments)`, which returns the
exit status. `options` has what several of them take.
"""
