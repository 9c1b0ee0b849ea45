"""What a way of training makes good, and where it will mislead; each claim with its paper.

The claims stand in claims.toml, each under a condition of conditions.py. No torch.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from zoo.cards.conditions import CONDITIONS
from zoo.spec import ModelSpec

FILE = Path(__file__).with_name("claims.toml")
SIDES: Mapping[str, str] = {"good": "Good", "misleads": "Misleads", "licence": "Licence"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One sentence about encoders that were trained in one way.

    Attributes:
        side: Whether it is a strength, a trap, or a term of use.
        text: In words.
        title: Of the paper that shows it.
        url: Of the paper.
    """

    side: Literal["good", "misleads", "licence"]
    text: str
    title: str
    url: str

    @property
    def label(self) -> str:
        """The side, as a word before the text."""
        return SIDES[self.side]


def claims_of(row: ModelSpec) -> list[Claim]:
    """Return what is known about encoders like this one: strengths, traps, terms of use."""
    found = [
        claim for name, claims in all_claims().items() for claim in claims if CONDITIONS[name](row)
    ]
    return sorted(found, key=lambda claim: list(SIDES).index(claim.side))


@cache
def all_claims() -> Mapping[str, tuple[Claim, ...]]:
    """Return the claims of each condition."""
    tables = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {name: tuple(Claim(**entry) for entry in table) for name, table in tables.items()}
