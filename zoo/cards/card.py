"""Everything that a row's card says, as data: facts, numbers, results, claims. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.cards.claims import Claim, claims_of
from zoo.cards.example import example_of
from zoo.cards.hub import front_matter
from zoo.cards.measured import Measured
from zoo.cards.results import Latency, RowResults
from zoo.describe import preparation_of, row_to_dict
from zoo.spec import AudioPreprocess, ModelSpec, Paper

# How tokens become one vector; any other way is named as the config names it.
POOLING: Mapping[str, str] = {
    "bovw": "how often each visual word is the nearest",
    "cls": "the class token",
    "cls_dist": "the mean of the class and the distillation token",
    "concat": "all blocks side by side",
    "end": "the token that ends the text",
    "last": "the last token",
    "map": "attention over the tokens",
    "mean": "the mean of the tokens",
    "mean_norm": "the mean of the last map, then a LayerNorm",
    "none": "one vector a token",
    "pooler": "the class token through a tanh layer",
    "sum": "a component a term",
    "vlad": "sums of differences to the nearest visual word",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A card, before it is written.

    Attributes:
        row: The model.
        measured: Numbers of its network.
        results: What was run.
        claims: What it is good at and where it misleads.
    """

    row: ModelSpec
    measured: Measured
    results: RowResults
    claims: tuple[Claim, ...]

    @property
    def front(self) -> dict[str, Any]:
        """The Hub's metadata."""
        return front_matter(self.row)

    @property
    def example(self) -> str:
        """A few lines of Python that use it."""
        return example_of(self.row)

    @property
    def vector(self) -> str:
        """What the vector of an item is."""
        row = self.row
        how = POOLING.get(row.pooling, row.pooling)
        return f"{row.dim:,} wide: {how}{', of unit norm' if row.normalize else ''}"

    @property
    def stride(self) -> str:
        """From one token to the next; nothing where tokens are in no grid."""
        stride, recipe = getattr(self.row.config, "stride", None), self.row.preprocess
        if not isinstance(stride, int) or stride < 2:
            return ""
        if isinstance(recipe, AudioPreprocess):
            samples = stride * (recipe.hop if recipe.features == "log_mel" else 1)
            return f"{1000 * samples / recipe.rate:g} ms"
        return f"{stride} pixels"

    @property
    def architecture(self) -> list[tuple[str, str]]:
        """The numbers of its configuration; what is off or empty is left out."""
        config = row_to_dict(self.row)["config"]
        words = ((name, _words(value)) for name, value in config.items() if name != "type")
        return [(name, text) for name, text in words if text]

    @property
    def preparation(self) -> str:
        """How an item becomes inputs, in a sentence."""
        recipe = self.row.preprocess
        if recipe is None:
            return "Items are prepared by the encoder itself."
        items, what = preparation_of(recipe)
        return f"{items.capitalize()}: {what}."

    @property
    def latency(self) -> Latency | None:
        """What was timed of this very network, if anything."""
        timed = self.results.latency
        return timed if timed is not None and timed.digest == self.measured.digest else None

    @property
    def papers(self) -> tuple[Paper, ...]:
        """What is cited: the family's paper, then those of this checkpoint."""
        return (self.row.family.paper, *self.row.papers)

    @property
    def bibtex(self) -> str:
        """The papers, as BibTeX."""
        name = self.row.family.name
        keys = (name, *(f"{name}-{paper.year}-{place}"
                        for place, paper in enumerate(self.row.papers, start=2)))  # fmt: skip
        return "\n\n".join(paper.bibtex(key) for key, paper in zip(keys, self.papers, strict=True))

    def megabytes(self, bytes_each: int) -> str:
        """Return the size of its parameters, given the bytes of each."""
        return size(self.row.params * bytes_each)


def card_of(row: ModelSpec, measured: Measured, results: RowResults) -> ModelCard:
    """Return the card of a row."""
    return ModelCard(row=row, measured=measured, results=results, claims=tuple(claims_of(row)))


def size(count: int) -> str:
    """Return a number of bytes in MB, or in GB where there are thousands of MB."""
    return f"{count / 1e6:,.0f} MB" if count < 1e10 else f"{count / 1e9:,.1f} GB"


def _words(value: Any) -> str:  # noqa: ANN401  whatever a config holds, as JSON has it
    """Return a value in words; nothing for what is off or empty."""
    if isinstance(value, bool):
        return "yes" if value else ""
    if value in (None, 0, "", "none"):
        return ""
    if isinstance(value, Mapping):
        parts = ((name, _words(item)) for name, item in value.items() if name != "type")
        return ", ".join(f"{name} {words}" for name, words in parts if words)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_words(item) or str(item) for item in value)
    return str(value)
