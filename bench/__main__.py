"""Start the benchmark."""

from __future__ import annotations

from .program import start
from .run import main

if __name__ == "__main__":
    start(main)
