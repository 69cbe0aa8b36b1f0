"""Labs: exercises that are handed out, handed in, and graded in seconds, with a reason.

::

    python -m collectives.labs list
    python -m collectives.labs start 3 ring
    python -m collectives.labs check ring

A student writes generators, as every algorithm here is written. They run in a process of
their own, which hands over what they yielded: who sends which elements to whom, round by
round, as plain data. All that is graded is computed from these data, in the grader's process.

lab        what a lab asks, from its folder in `course/`
handover   the form of what is handed over
sandbox    the student's process: its limits, and how it ended
alone      what runs in it
replay     recorded rounds as an algorithm, for all the engines
ladder     the six rungs
feedback   what is said about a rung: what happened, where, what was expected, a hint
verdict    all of it as plain data
grader     puts these together
unread     the verdict where there is nothing to grade
writers    the verdict for people, and in the forms of other programs
batch      a folder of submissions; similar says which have the same code
notebook   a lab as a Jupyter notebook
gradescope the zip for Gradescope, with the scripts in `graders/`
"""
