"""What training a large language model needs: memory, traffic, time; computed from its shape.

shapes       a model's numbers, and every tensor of parameters that follows
presets      published models by name
recipes      bytes for each parameter, line by line
work         how many tokens a step has, and what is kept of them
numbers      those that would do, for messages
layout       how ranks share the work: dp, ZeRO, tp, sp, pp, ep, cp
setups       all of these together, which is what everything below starts from
pipeline     schedules: which layers a stage has, what is in flight, who waits
units        what one rank holds of the model
activations  what forward keeps for backward
memory       all of it for each rank
search       the layouts that a model can have
fits         which of them fits, and what to give up first
flows        which primitive a step calls, how often, with how many elements
traffic      how many bytes each rank sends in them, counted from algorithms
flops        operations of a step
network      how long a call takes on a machine
step         how long a step takes, term by term
plot         memory as bars
"""
