"""A card's front matter, in the Hub's own words. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from zoo.cards.conditions import is_tuned_text
from zoo.spec import ModelSpec

# Licences as the Hub spells them; any other is `other` with a name and a link.
LICENSES = frozenset({
    "afl-3.0", "agpl-3.0", "apache-2.0", "apple-amlr", "artistic-2.0", "bigscience-openrail-m",
    "bsd", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "cc", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0",
    "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-4.0",
    "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "creativeml-openrail-m", "gemma",
    "gpl-3.0", "isc", "lgpl-3.0", "llama3.1", "llama3.2", "llama3.3", "mit", "mpl-2.0", "openrail",
    "openrail++", "unknown", "unlicense", "wtfpl", "zlib",
})  # fmt: skip
# What an objective says of its data, to where the Hub has them.
DATASETS: Mapping[str, tuple[str, ...]] = {
    "ImageNet-1k": ("ILSVRC/imagenet-1k",),
    "ImageNet-2[12]k": ("timm/imagenet-22k-wds",),
    "DataComp-1B": ("mlfoundations/datacomp_1b",),
    "BookCorpus": ("bookcorpus/bookcorpus",),
    "Wikipedia": ("wikimedia/wikipedia",),
    "OpenWebText": ("Skylion007/openwebtext",),
    r"\bC4\b": ("allenai/c4",),
    "CC-100": ("statmt/cc100",),
    "natural-language inference": ("stanfordnlp/snli", "nyu-mll/multi_nli"),
    "billion pairs": ("sentence-transformers/embedding-training-data",),
    "Nomic's": ("nomic-ai/nomic-embed-unsupervised-data",),
    "MS MARCO": ("microsoft/ms_marco",),
    "Natural Questions": ("google-research-datasets/natural_questions",),
    "LibriSpeech": ("openslr/librispeech_asr",),
}


def front_matter(row: ModelSpec) -> dict[str, Any]:
    """Return the metadata of a row's card."""
    front: dict[str, Any] = {
        "library_name": "encoder-zoo",
        "pipeline_tag": _pipeline(row),
        "tags": ["encoder", "embeddings", row.modality, row.family.name],
        **_license(row),
    }
    if row.languages:
        front["language"] = list(row.languages)
    if row.weights.repo is not None:
        front["base_model"] = row.weights.repo
        # The same weights in another form: of the Hub's four words the one for conversions.
        front["base_model_relation"] = "quantized"
    datasets = [name for words, names in DATASETS.items() for name in names
                if re.search(words, row.objective)]  # fmt: skip
    if datasets:
        front["datasets"] = datasets
    return front


def _pipeline(row: ModelSpec) -> str:
    """Return what a tower does by itself: a vector, whatever its whole model is made for."""
    if row.modality == "image":
        return "image-feature-extraction"
    return "sentence-similarity" if is_tuned_text(row) else "feature-extraction"


def _license(row: ModelSpec) -> dict[str, str]:
    if row.license == "none":  # nobody stated one
        return {"license": "unknown"}
    if row.license in LICENSES:
        return {"license": row.license}
    other = {"license": "other", "license_name": row.license}
    return {**other, "license_link": row.family.license_url} if row.family.license_url else other
