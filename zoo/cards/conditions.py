"""To which rows a claim of claims.toml belongs: by fields and words of the objective, not by name.

No torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from zoo.spec import KeypointPreprocess, ModelSpec, TextPreprocess

Condition = Callable[[ModelSpec], bool]

LARGE = 80_000_000  # parameters; smaller networks were not seen to grow outliers
LONG = 512  # tokens; from here on the beginning was seen to weigh more


def is_tuned_text(row: ModelSpec) -> bool:
    """Return whether texts of like meaning were brought together in the training."""
    tuned = "contrastive|inference|paraphrases|cross-encoder"
    return _is_text(row) and re.search(tuned, row.objective) is not None


def _is_text(row: ModelSpec) -> bool:
    return row.modality == "text" and row.space is None


def _is_joint(row: ModelSpec, modality: str = "") -> bool:
    return row.space is not None and row.modality in (modality or row.modality)


def _trained(words: str, *modalities: str) -> Condition:
    """Return whether the objective has some words, of towers that stand alone."""
    pattern = re.compile(words)
    return lambda row: (
        row.space is None
        and row.modality in (modalities or (row.modality,))
        and pattern.search(row.objective) is not None
    )


def _all(*conditions: Condition) -> Condition:
    return lambda row: all(condition(row) for condition in conditions)


def _not(condition: Condition) -> Condition:
    return lambda row: not condition(row)


def _queries(row: ModelSpec) -> tuple[str, str, int | None]:
    """Return the prompt of queries, that of documents, and the longest query."""
    roles = row.preprocess.roles if isinstance(row.preprocess, TextPreprocess) else {}
    if not {"query", "document"} <= set(roles):
        return "", "", None
    return roles["query"].prompt, roles["document"].prompt, roles["query"].max_length


def _prefixed(row: ModelSpec) -> bool:
    return all(_queries(row)[:2])


def _reads_at_least(tokens: int) -> Condition:
    return lambda row: (
        isinstance(row.preprocess, TextPreprocess) and row.preprocess.max_length >= tokens
    )


def _without_registers(row: ModelSpec) -> bool:
    seen = re.search(r"iBOT|image-text contrastive \(InfoNCE\)", row.objective) is not None
    bare = getattr(row.config, "registers", None) == 0
    return row.modality == "image" and seen and bare and row.params > LARGE


def _places_in_tokens(row: ModelSpec) -> bool:
    seen = re.search(
        r"^self-distillation|image-text contrastive \(InfoNCE\)|^supervised", row.objective
    )
    added = getattr(row.config, "positions", None) == "learned"
    return row.modality == "image" and seen is not None and added


def _sounds(padding: str) -> Condition:
    """Return whether sounds are padded in a way."""
    return lambda row: (
        row.modality == "audio" and any(tensor.padding == padding for tensor in row.inputs)
    )


_labels = _trained("(^|then )supervised", "image")
_static = _trained("words from their neighbours|co-occurrences", "text")
_counted = _trained("closed form|singular value", "text")
_late = _trained("cross-encoder", "text")
_one_vector = _all(is_tuned_text, _not(_late))
_untuned_text = _all(_is_text, _not(is_tuned_text), _not(_static), _not(_counted),
                     _trained("tokens|replaced|spans"))  # fmt: skip
_many = _all(_is_text, lambda row: "multilingual" in row.languages)

CONDITIONS: Mapping[str, Condition] = {
    "joint": _is_joint,
    "joint-sigmoid": lambda row: row.space is not None and row.space.activation == "sigmoid",
    "joint-dense": lambda row: _is_joint(row) and "captioning" in row.objective,
    "joint-image": lambda row: _is_joint(row, "image"),
    "joint-77": lambda row: _is_joint(row, "text") and "(InfoNCE)" in row.objective,
    "web-captions": lambda row: _is_joint(row) and "LAION" in row.objective,
    "self-distilled": _trained("^self-distillation", "image"),
    "self-distilled-dense": _trained("iBOT", "image"),
    "gram": _trained("Gram", "image"),
    "distilled-convolutions": _all(
        _trained("^distilled from", "image"), lambda row: not hasattr(row.config, "heads")
    ),
    "without-registers": _without_registers,
    "places-in-tokens": _places_in_tokens,
    "augmented": _trained("InfoNCE without|multi-crop", "image"),
    "contrastive-images": _trained("InfoNCE without", "image"),
    "masked-images": _all(
        _trained("masked (pixel|image)|masked prediction of a teacher", "image"), _not(_labels)
    ),
    "masked-latents": _trained("latent masked-block", "image"),
    "masked-clips": _trained("masked latents", "video"),
    "next-colour": _trained("prediction of pixels", "image"),
    "reconstruction": _trained("reconstruct", "image"),
    "labels": _labels,
    "many-labels": _all(_labels, _trained("ImageNet-2[12]k"), _not(_trained("then ImageNet-1k"))),
    "convolutions": _all(_labels, lambda row: not hasattr(row.config, "heads")),
    "keypoints": lambda row: isinstance(row.preprocess, KeypointPreprocess),
    "gradients": _all(
        _trained("hand-made", "image"),
        lambda row: not isinstance(row.preprocess, KeypointPreprocess),
    ),
    "untuned-text": _untuned_text,
    "masked-tokens": _all(_untuned_text, _trained("masked tokens")),
    "replaced-tokens": _all(_untuned_text, _trained("replaced")),
    "spans": _all(_untuned_text, _trained("spans")),
    "many-languages": _many,
    "english": _all(_is_text, lambda row: row.languages == ("en",), _not(_trained("synthetic"))),
    "one-vector": _one_vector,
    "across-languages": _all(_many, is_tuned_text),
    "long-texts": _all(_one_vector, _reads_at_least(LONG)),
    "contradictions": _trained("^contrastive, on natural-language inference", "text"),
    "inference-pairs": _trained("natural-language inference", "text"),
    "dropout-pairs": _trained("dropout masks", "text"),
    "question-pairs": _trained("question-answer pairs, then", "text"),
    "prefixed": _all(_prefixed, _not(_trained("Nomic"))),
    "task-prefixed": _all(_prefixed, _trained("Nomic")),
    "low-temperature": _trained("weakly supervised pairs, then fine-tuned", "text"),
    "instructed": lambda row: _queries(row)[0].startswith("Instruct:"),
    "nested": lambda row: bool(row.matryoshka),
    "late-interaction": _late,
    "short-queries": lambda row: _queries(row)[2] is not None,
    "static-words": _static,
    "subwords": _trained("character sequences", "text"),
    "whole-words": _all(_static, _not(_trained("character sequences"))),
    "terms": _trained("closed form", "text"),
    "topics": _trained("singular value", "text"),
    "counted": _counted,
    "speech": _trained("quantised latents|k-means units", "audio"),
    "speech-languages": _trained("quantised latents.* languages", "audio"),
    "speech-contrastive": _all(_trained("quantised latents", "audio"), _not(_trained("CTC"))),
    "speech-units": _trained("k-means units", "audio"),
    "speech-features": _trained("teacher's features", "audio"),
    "speech-letters": _trained("CTC", "audio"),
    "read-aloud": _trained("LibriSpeech|Libri-Light", "audio"),
    "alone": _sounds("forbidden"),
    "transcribed": _trained("transcription", "audio"),
    "half-minute": _sounds("fixed"),
    "not-commercial": lambda row: "-nc-" in row.license,
    "metas-terms": lambda row: row.license == "dinov3-license",
    "no-licence": lambda row: row.license == "none",
    "research-data": _trained("MS MARCO"),
}
