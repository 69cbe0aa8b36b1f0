"""The ways to train on several ranks, a file each, simplest first.

- `ddp`, `zero1`, `zero2`, `zero3`: each rank has its own data; what is kept of the model?
- `tp`, `sp`: each layer is cut; `cp`: each sequence is cut; `ep`: experts are spread
- `pp`: each rank has some of the layers
"""
