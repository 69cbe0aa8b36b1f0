"""A small GPT in numpy, with its gradients written by hand. No MPI.

- `parameters`: tensors, and the groups of them that lie in one vector
- `functions`: layer norm, GELU, softmax, cross-entropy, each with its backward
- `layers`: embedding, attention, MLP, block, head
- `moe`: a mixture of experts in place of an MLP
- `gpt`: all of it, on one rank
- `adam`: the optimizer
- `text`: what the model learns
"""
