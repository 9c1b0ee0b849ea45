"""What `zoo parity` was asked to judge: the model, the artefact, and the shapes of both."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn

import zoo
from zoo.backends.eager import EagerBackend
from zoo.bundle import MANIFEST, MODEL, SCOPES, TOKENIZER, read_manifest
from zoo.encoded import Encoded
from zoo.encoder import Encoder
from zoo.errors import OptionError
from zoo.loading import load_row
from zoo.manifest import Manifest
from zoo.preprocess import preprocessor_for
from zoo.spec import Dim, ModelSpec
from zoo_export.binding import bind
from zoo_export.outputs import named_outputs
from zoo_export.parity.candidate import Candidate
from zoo_export.parity.eager import TorchCandidate
from zoo_export.parity.onnx_candidate import OnnxCandidate
from zoo_export.parity.profile import Profile, Range, default_profile
from zoo_export.tracing import choose_outputs, example_inputs

HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
RANDOM = "random, seed "  # as a bundle says whose weights it has


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model and what is held against it.

    Attributes:
        row: The model, bound to the profile.
        encoder: Eager, in float32.
        label: Name of the candidate.
        candidate: What is judged.
        profile: Shapes that it is made for.
        outputs: Names of what both give.
    """

    row: ModelSpec
    encoder: Encoder
    label: str
    candidate: Candidate
    profile: Profile
    outputs: tuple[str, ...]


def open_subject(name: str, against: str, weights: str | None) -> Subject:
    """Load a model and open what is held against it.

    Args:
        name: A model, or the folder of a bundle.
        against: An ONNX file, the folder of a bundle, `float16` or `bfloat16`.
        weights: As for `zoo.load`; of a bundle, by default what it was made from.

    Raises:
        OptionError: There is no such thing to judge, or it does not fit the model.
    """
    folder = Path(against)
    manifest = read_manifest(folder) if (folder / MANIFEST).is_file() else None
    seed = 0
    if Path(name, MANIFEST).is_file():
        own = read_manifest(Path(name))
        name = own.facts.name
        if weights is None and own.weights.source.startswith(RANDOM):
            weights, seed = "random", int(own.weights.source.removeprefix(RANDOM))
    row = _one_row(name)
    if manifest is not None:
        return _bundle(row, folder, manifest, weights, seed)
    if against in HALVES:
        return _half(row, against, weights)
    if not folder.is_file():
        raise OptionError(f"There is no file or bundle {against!r}; or say {' or '.join(HALVES)}.")
    return _file(row, folder, weights)


def _one_row(name: str) -> ModelSpec:
    rows = zoo.resolve(name)
    if len(rows) > 1:
        towers = ", ".join(row.name for row in rows)
        raise OptionError(f"{name} is a joint space. Judge one of its towers: {towers}.")
    return rows[0]


def _load(
    row: ModelSpec, profile: Profile, weights: str | None, seed: int = 0
) -> tuple[ModelSpec, Encoder, nn.Module]:
    row = bind(row, profile)
    encoder = load_row(row, weights=weights, seed=seed)
    return row, encoder, cast(EagerBackend, encoder.backend).module


def _bundle(
    row: ModelSpec, folder: Path, manifest: Manifest, weights: str | None, seed: int
) -> Subject:
    dims = (size for tensor in manifest.facts.inputs for size in tensor.shape)
    profile = Profile(
        ranges={
            dim.name: Range(min=dim.min, typical=dim.typical, max=dim.max, multiple=dim.multiple)
            for dim in dims
            if isinstance(dim, Dim)
        }
    )
    row, encoder, _ = _load(row, profile, weights, seed)
    scopes = folder / SCOPES
    tokenizer = folder / TOKENIZER
    candidate = OnnxCandidate(
        folder / MODEL,
        scopes=json.loads(scopes.read_text(encoding="utf-8")) if scopes.is_file() else None,
        preprocessor=preprocessor_for(manifest.facts, tokenizer if tokenizer.is_file() else None),
    )
    return Subject(
        row=row,
        encoder=encoder,
        label=folder.name,
        candidate=candidate,
        profile=profile,
        outputs=manifest.graph.outputs,
    )


def _half(row: ModelSpec, name: str, weights: str | None) -> Subject:
    profile = default_profile(row)
    row, encoder, module = _load(row, profile, weights)
    lowered = copy.deepcopy(module)
    outputs, _ = choose_outputs(row, module, None)
    dtype = HALVES[name]
    return Subject(
        row=row,
        encoder=encoder,
        label=name,
        candidate=TorchCandidate(row, lowered.to(dtype), outputs, dtype=dtype),
        profile=profile,
        outputs=outputs,
    )


def _file(row: ModelSpec, path: Path, weights: str | None) -> Subject:
    candidate = OnnxCandidate(path)
    profile = _narrowed(row, candidate)
    row, encoder, module = _load(row, profile, weights)
    with torch.inference_mode():
        named = named_outputs(cast(Encoded, module(**example_inputs(row, {}))))
    outputs = tuple(name for name in named if name in candidate.outputs)
    if not outputs:
        raise OptionError(
            f"{path.name} gives {', '.join(candidate.outputs)}; the model gives "
            f"{', '.join(named)}. Give an output the name of what it is."
        )
    return Subject(
        row=row,
        encoder=encoder,
        label=path.name,
        candidate=candidate,
        profile=profile,
        outputs=outputs,
    )


def _narrowed(row: ModelSpec, candidate: OnnxCandidate) -> Profile:
    """Return the default profile, or a graph's only size where an axis of it is fixed."""
    ranges = dict(default_profile(row).ranges)
    for tensor in row.inputs:
        shape = candidate.shapes.get(tensor.name, ())
        for size, there in zip(tensor.shape, shape, strict=False):
            if isinstance(size, Dim) and isinstance(there, int):
                ranges[size.name] = Range(
                    min=there, typical=there, max=there, multiple=size.multiple
                )
    return Profile(ranges=ranges)
