"""Everything that a row's card says, as data: facts, numbers, results, claims. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.cards.claims import Claim, claims_of
from zoo.cards.measured import Measured
from zoo.cards.results import RowResults
from zoo.describe import row_to_dict
from zoo.spec import (
    AudioPreprocess,
    ImagePreprocess,
    ModelSpec,
    Preprocess,
    TextPreprocess,
)

# Licences as the Hub spells them; any other is `other` with a name.
HUB_LICENSES = frozenset(
    {"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-sa-3.0", "unknown"}
)
# Words of an objective to a data set of the Hub.
DATASETS: Mapping[str, str] = {
    "ImageNet-1k": "ILSVRC/imagenet-1k",
    "MS MARCO": "microsoft/ms_marco",
    "Natural Questions": "google-research-datasets/natural_questions",
}
PIPELINES = {"image": "image-feature-extraction", "video": "video-classification"}


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
        row = self.row
        known = row.license in HUB_LICENSES
        front: dict[str, Any] = {
            "library_name": "encoder-zoo",
            "license": row.license if known else "other",
            "pipeline_tag": _pipeline(row),
            "tags": ["encoder", row.modality, row.family.name],
        }
        if not known:
            front["license_name"] = row.license
        if row.weights.repo is not None:
            front["base_model"] = row.weights.repo
        datasets = [name for word, name in DATASETS.items() if word in row.objective]
        if datasets:
            front["datasets"] = datasets
        return front

    @property
    def example(self) -> str:
        """One item, as Python code."""
        items = {
            "image": '["photo.jpg", "other.png"]',
            "text": '["a sentence", "another one"]',
            "audio": '["speech.wav"]',
            "video": '["clip.mp4"]',
        }
        return items[self.row.modality]

    @property
    def architecture(self) -> list[tuple[str, str]]:
        """The numbers of its configuration."""
        config = row_to_dict(self.row)["config"]
        return [(name, str(value)) for name, value in config.items() if name != "type"]

    @property
    def preparation(self) -> str:
        """How an item becomes inputs, in a sentence."""
        return _prepared(self.row.preprocess)

    @property
    def bibtex(self) -> str:
        """The paper, as BibTeX."""
        family = self.row.family
        fields = [("title", f"{{{family.title}}}"), ("year", str(family.year))]
        if family.arxiv:
            fields += [("eprint", family.arxiv), ("archivePrefix", "arXiv")]
        fields.append(("url", self.paper))
        body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields)
        return f"@misc{{{family.name},\n{body}\n}}"

    @property
    def paper(self) -> str:
        """Where it can be read."""
        family = self.row.family
        return f"https://arxiv.org/abs/{family.arxiv}" if family.arxiv else family.url

    def megabytes(self, bytes_each: int) -> str:
        """Return what its parameters take, MB, at so many bytes each."""
        return f"{self.row.params * bytes_each / 1e6:,.0f}"


def card_of(row: ModelSpec, measured: Measured, results: RowResults) -> ModelCard:
    """Return the card of a row."""
    return ModelCard(row=row, measured=measured, results=results, claims=tuple(claims_of(row)))


def _pipeline(row: ModelSpec) -> str:
    if row.space is not None:
        return "zero-shot-image-classification"
    if row.modality == "text":
        return "sentence-similarity" if row.normalize else "feature-extraction"
    return PIPELINES.get(row.modality, "feature-extraction")


def _prepared(recipe: Preprocess | None) -> str:
    if isinstance(recipe, ImagePreprocess):
        height, width = recipe.size
        how = "squashed to"
        if isinstance(recipe.resize, int):
            how = f"resized to {recipe.resize} on the shorter side, then the centre of"
        elif recipe.resize is not None:
            how = f"squashed to {recipe.resize[0]} x {recipe.resize[1]}, then the centre of"
        mean = ", ".join(f"{value:g}" for value in recipe.mean)
        std = ", ".join(f"{value:g}" for value in recipe.std)
        return (
            f"Images are {how} {height} x {width} pixels ({recipe.resample}); "
            f"mean {mean}, deviation {std}."
        )
    if isinstance(recipe, TextPreprocess):
        return f"Texts are cut at {recipe.max_length} tokens, special ones included."
    if isinstance(recipe, AudioPreprocess):
        text = f"Sounds are resampled to {recipe.rate} Hz"
        if recipe.length is not None:
            text += f" and brought to {recipe.length / recipe.rate:g} s"
        return f"{text}; what the network sees is {recipe.features.replace('_', '-')}."
    return "Items are prepared by the encoder itself."
