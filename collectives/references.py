"""The literature: what `Reference:` lines cite, and where `references.bib` has it in full.

A line names works by their labels, with `;` between them: the authors, the first one only
if there are more than three, and the year. The letter in `Träff 2025a` is that of the
work's key. A program, such as `Open MPI`, has its title as its label. `after` may stand
before a label and a remark in parentheses behind it; `folklore` is no work.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FILE = Path(__file__).with_name("references.bib")
FOLKLORE = "folklore"

# Where a work can be found, the surest place first, and what stands before it.
PLACES = {"doi": "doi:", "eprint": "arXiv:", "isbn": "ISBN ", "url": ""}

_ENTRY = re.compile(r"^@(\w+)\{([^,\s]+),\n(.*?)\n\}$", re.M | re.S)
_FIELD = re.compile(r"^  (\w+) = \{(.*)\},?$", re.M)
_VENUES = ("journal", "booktitle", "institution", "publisher")
_MANY = 3  # authors, beyond which a label names the first one only


@dataclass(frozen=True)
class Work:
    """An entry of `references.bib`.

    Attributes
    ----------
    key, kind : str
        The key, `Thakur2005`, and what BibTeX calls it, `article`.
    fields : mapping
        Its fields, as they are written there.
    """

    key: str
    kind: str
    fields: Mapping[str, str]

    @property
    def authors(self) -> list[str]:
        """Their surnames."""
        return [_plain(name.partition(",")[0]) for name in self.fields["author"].split(" and ")]

    @property
    def label(self) -> str:
        """What a `Reference:` line calls it."""
        if "year" not in self.fields:
            return _plain(self.fields["title"])
        names = self.authors
        if len(names) > _MANY:
            names = [f"{names[0]} et al."]
        letter = self.key.partition(self.fields["year"])[2]
        return f"{', '.join(names)} {self.fields['year']}{letter}"

    @property
    def text(self) -> str:
        """Surnames, title, venue, number and pages, and where to find it, as people write it."""
        fields = defaultdict(str, self.fields)
        venue = next(filter(None, (fields[name] for name in _VENUES)), "")
        number = f"({fields['number']})" if fields["number"] else ""
        pages = f"pages {fields['pages'].replace('--', '-')}" if fields["pages"] else ""
        issue = f"{venue} {fields['volume']}{number}".strip()
        source = ", ".join(part for part in (issue, pages) if part)
        place = next(prefix + fields[name] for name, prefix in PLACES.items() if fields[name])
        parts = ", ".join(self.authors), fields["title"], source, place
        return ". ".join(_plain(part) for part in parts if part)

    @property
    def bibtex(self) -> str:
        """The entry, as `references.bib` has it."""
        fields = ",\n".join(f"  {key} = {{{value}}}" for key, value in self.fields.items())
        return f"@{self.kind}{{{self.key},\n{fields}\n}}\n"


@lru_cache(maxsize=1)
def works() -> Mapping[str, Work]:
    """All works by their labels, in the order of their keys."""
    entries = _ENTRY.findall(FILE.read_text(encoding="utf-8"))
    every = [Work(key, kind, dict(_FIELD.findall(body))) for kind, key, body in entries]
    return {work.label: work for work in every}


def labels(line: str) -> list[str]:
    """The labels that a `Reference:` line consists of.

    Examples
    --------
    >>> labels("after Rabenseifner, Träff 2004 (one group only); Open MPI; folklore")
    ['Rabenseifner, Träff 2004', 'Open MPI']
    """
    parts = [re.sub(r" \([^()]*\)$", "", part.strip()) for part in line.split(";")]
    return [part.removeprefix("after ") for part in parts if part != FOLKLORE]


def cited(line: str) -> list[Work]:
    """The works that a line cites; what is no label of ours says nothing."""
    return [works()[label] for label in labels(line) if label in works()]


def _plain(text: str) -> str:
    return re.sub(r"[{}\\]", "", text)
