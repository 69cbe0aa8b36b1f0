"""What training a large language model needs: memory, traffic, time; computed from its shape.

shapes       a model's numbers, and every tensor of parameters that follows
presets      published models by name
recipes      bytes for each parameter, line by line
layout       how ranks share the work: dp, ZeRO, tp, sp, pp, ep, cp
units        what one rank holds of the model
activations  what forward keeps for backward
pipeline     schedules: what is in flight, and who waits
memory       all of it for each rank
fits         which layout fits, and what to give up first
traffic      which primitive, how often, how many bytes
step         how long a step takes, term by term
"""
