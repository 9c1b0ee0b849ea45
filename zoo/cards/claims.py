"""What a way of training makes good, and where it will mislead; each claim with its paper.

The claims stand in claims.toml. One is chosen by the row's modality, by words of its objective, or
by a field; never by a name. No torch.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from zoo.spec import ModelSpec

FILE = Path(__file__).with_name("claims.toml")
LARGE = 80_000_000  # parameters; smaller networks were not seen to grow outliers
ANY = ("image", "text", "audio", "video")

Condition = Callable[[ModelSpec], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One sentence about encoders that were trained in one way.

    Attributes:
        side: Whether it is a strength or a trap.
        text: In words.
        title: Of the paper that shows it.
        url: Of the paper.
    """

    side: Literal["good", "misleads"]
    text: str
    title: str
    url: str


def claims_of(row: ModelSpec) -> list[Claim]:
    """Return what is known about encoders like this one, strengths first."""
    found = [
        claim for name, claims in all_claims().items() for claim in claims if CONDITIONS[name](row)
    ]
    return sorted(found, key=lambda claim: claim.side != "good")


@cache
def all_claims() -> Mapping[str, tuple[Claim, ...]]:
    """Return condition to claims."""
    tables = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {name: tuple(Claim(**entry) for entry in table) for name, table in tables.items()}


def _trained(words: str, *modalities: str) -> Condition:
    pattern = re.compile(words)
    return lambda row: row.modality in (modalities or ANY) and bool(pattern.search(row.objective))


def _untuned_text(row: ModelSpec) -> bool:
    tuned = re.search("contrastive|inference|distillation to|paraphrases|pairs", row.objective)
    learnt = re.search("masked tokens|replaced|corrupted|next tokens|distillation", row.objective)
    return row.modality == "text" and learnt is not None and tuned is None


def _one_vector(row: ModelSpec) -> bool:
    contrastive = re.search("contrastive|inference|paraphrases", row.objective) is not None
    return row.modality == "text" and row.space is None and contrastive


def _without_registers(row: ModelSpec) -> bool:
    trained = "self-distillation" in row.objective and row.modality == "image"
    return trained and row.params > LARGE and getattr(row.config, "registers", None) == 0


def _alone(row: ModelSpec) -> bool:
    forbidden = any(tensor.padding == "forbidden" for tensor in row.inputs)
    return forbidden and row.modality == "audio"


CONDITIONS: Mapping[str, Condition] = {
    "captions": _trained("image-text", "image", "text"),
    "self-distilled": _trained("self-distillation", "image"),
    "without-registers": _without_registers,
    "masked-images": _trained("masked (pixel|image)|masked prediction of a teacher", "image"),
    "masked-latents": _trained("latent masked-block|masked latents", "image", "video"),
    "augmented": _trained("InfoNCE without|multi-crop", "image"),
    "labels": _trained("^supervised", "image"),
    "hand-made": _trained("hand-made|k-means over descriptors", "image"),
    "untuned-text": _untuned_text,
    "one-vector": _one_vector,
    "late-interaction": _trained("cross-encoder", "text"),
    "static-words": _trained("words from their neighbours|co-occurrences", "text"),
    "counts": _trained("closed form|singular value", "text"),
    "next-colour": _trained("prediction of pixels", "image"),
    "reconstruction": _trained("reconstruct", "image"),
    "speech": _trained("quantised latents|k-means units", "audio"),
    "alone": _alone,
    "transcribed": _trained("transcription", "audio"),
}
