"""The machine that the simulator runs on: clocks, nodes and their NICs, links, placement.

`machine("nodes:8x8,nic=25G,latency=10us")` makes one from a line, a preset's name or a file.
"""

from .clock import Clock, LogGP
from .model import Machine
from .spec import machine
from .writing import dumps

__all__ = ["Clock", "LogGP", "Machine", "dumps", "machine"]
