"""Which independent library a row is held against, and how far apart both are: for coverage runs.

A function a kind of network, registered by the families that it speaks for. Each builds a tiny
version with every feature of the row, writes the library's own file, loads that and compares.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

import tests.torchvision_operators  # noqa: F401  before timm and transformers
import zoo
from tests.reference import images, make_live, relative_error
from zoo.spec import ModelSpec

Errors = Callable[[ModelSpec, Path, torch.dtype], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What two libraries make of the same weights and inputs.

    Attributes:
        library: Its name and version.
        errors: Dtype to the largest relative error of an output.
    """

    library: str
    errors: dict[str, float]


_KINDS: dict[str, tuple[str, Errors]] = {}


def compares(library: str, *families: str) -> Callable[[Errors], Errors]:
    """Register a comparison with a library for some families."""

    def register(function: Errors) -> Errors:
        _KINDS.update(dict.fromkeys(families, (library, function)))
        return function

    return register


def compare(row: ModelSpec) -> Comparison | None:
    """Return what the comparison of a row gives; None if there is none for its family."""
    if row.family.name not in _KINDS:
        return None
    library, function = _KINDS[row.family.name]
    errors = {}
    for dtype in (torch.float64, torch.float32):
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            errors[str(dtype).removeprefix("torch.")] = function(row, Path(folder), dtype)
    return Comparison(library=f"{library} {version(library)}", errors=errors)


@compares("timm", "vit", "deit", "dino", "dinov2", "mae", "moco-v3", "ijepa")
def _vits(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    from tests.vit_reference import NATIVE, load, noise, small_row, timm_model

    row = small_row(row.name)
    config: Any = row.config
    reference = make_live(timm_model(config)).to(dtype)
    save_file(reference.state_dict(), folder / "model.safetensors")
    pixels = noise(NATIVE, dtype)
    sequence = reference.forward_features(pixels)
    ours = load(row, folder, dtype)({"pixels": pixels})
    parts = [ours.tokens] if ours.prefix is None else [ours.prefix, ours.tokens]
    return max(
        relative_error(torch.cat(parts, dim=1), sequence),
        relative_error(ours.pooled, reference.forward_head(sequence, pre_logits=True)),
    )


@compares("timm", "resnet")
def _resnets(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    from tests.test_resnet import timm_reference

    config: Any = row.config
    sizes = (64, 16, 24, 32) if config.block == "basic" else (32, 48, 64, 80)
    row = replace(row, config=replace(config, depths=(1, 2, 1, 1), widths=sizes))
    reference = timm_reference(row.config)  # type: ignore[arg-type]
    save_file(reference.state_dict(), folder / "model.safetensors")
    pixels = images(3, 65, 97, dtype=dtype)
    ours = zoo.load(row, weights=folder, dtype=dtype)({"pixels": pixels})
    pyramid = reference.to(dtype).forward_intermediates(
        pixels, indices=[1, 2, 3, 4], intermediates_only=True
    )
    return max(relative_error(*pair) for pair in zip(ours.pyramid, pyramid, strict=True))


@compares("transformers", "bert", "bge", "bge-m3", "distilbert", "e5", "electra", "gte", "roberta",
          "sentence-bert", "simcse", "xlm-roberta")  # fmt: skip
def _berts(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    from tests.bert_references import ids_and_mask, reference, save, tiny

    config: Any = row.config
    name = (
        "roberta" if config.position_offset
        else "electra" if config.embedding_width is not None
        else "bert" if config.type_vocab else "distilbert"
    )  # fmt: skip
    model = reference(name, dtype=dtype)
    (spec,) = zoo.api.resolve(str(save(model, folder)))
    worst = 0.0
    for length in (1, 7, 24):
        ids, mask = ids_and_mask(tiny(name), length)
        expected = model(input_ids=ids, attention_mask=mask).last_hidden_state
        ours = zoo.load(spec, dtype=dtype)({"input_ids": ids, "attention_mask": mask})
        worst = max(worst, relative_error(ours.tokens, expected))
    return worst
