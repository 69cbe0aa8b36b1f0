"""What the model learns: a text, character by character.

`text.txt` has docstrings and documents of this library, as they were once. It never changes, so
that losses can be compared; its checksum shows it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from collectives.errors import ArgumentError

OURS = Path(__file__).with_name("text.txt")
CHECKSUM = "62b0d94d588c9d0b52262a4d156ae4a0c0fbaf13ef8b85d73ff596bce3737098"


class Text:
    """A text as numbers.

    Parameters
    ----------
    text : str

    Attributes
    ----------
    alphabet : str
        Its different characters, in order; a token is a place in it.
    tokens : numpy.ndarray of int
    """

    def __init__(self, text: str):
        letters = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        different, tokens = np.unique(letters, return_inverse=True)
        self.alphabet = "".join(map(chr, different))
        self.tokens = tokens.astype(np.uint8 if len(different) <= 256 else np.int32)

    def batch(self, step: int, seed: int, sequences: int, length: int) -> np.ndarray:
        """Sequences from anywhere in the text, the same for a step and seed on all ranks.

        Returns
        -------
        numpy.ndarray of int
            Of shape (sequences, length + 1): from each token but the last follows the next one.
        """
        rng = np.random.default_rng([seed, step])
        starts = rng.integers(0, self.tokens.size - length, sequences)
        return self.tokens[starts[:, None] + np.arange(length + 1)]

    def decode(self, tokens: np.ndarray) -> str:
        """Tokens as a text."""
        return "".join(self.alphabet[token] for token in tokens)


def read(path: str | None, length: int) -> Text:
    """The text of a file, or ours; from `length` + 1 characters on.

    Raises
    ------
    ArgumentError
        The file cannot be read, is no UTF-8, or is too short; or ours has been changed.
    """
    name = str(path or OURS)
    try:
        content = Path(name).read_bytes()
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "something else"
        raise ArgumentError(
            f"train: --text needs a file of text in UTF-8, got {name!r}: {what}; name another one"
        ) from None
    if path is None and hashlib.sha256(content).hexdigest() != CHECKSUM:
        raise ArgumentError(
            f"train: {name} must be as it was released, got other content; install it again, "
            "or name a file of your own by --text"
        )
    if len(text) <= length:
        raise ArgumentError(
            f"train: --text needs more than the {length} characters of a sequence, got "
            f"{len(text)}; name a longer one, or take a smaller --sequence"
        )
    return Text(text)
