"""Collective communication you can read."""

from pathlib import Path

# In a checkout, algorithms/ and bench/ lie beside this folder, not inside it.
if not (Path(__file__).parent / "algorithms").is_dir():
    __path__.append(str(Path(__file__).parent.parent))
