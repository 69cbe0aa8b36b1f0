"""Trains a small GPT for real, on this library's primitives, by every kind of parallelism.

- `model/`: the GPT in numpy, its gradients, the optimizer, the text. No MPI.
- `parallel/`: how it is spread over ranks, a short file each
- `state`, `passes`, `build`: what these have in common, and how they are put together
- `trainer`, `checkpoint`, `program`: steps, and what is around them
- `ledger`, `report`: bytes held and sent, beside what the calculators say
"""
