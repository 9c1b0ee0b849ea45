"""What a bundle's manifest says: plain records that JSON gives back exactly. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from zoo.records import to_plain
from zoo.spec import Modality, OutputName, Preprocess, TensorSpec

Precision = Literal["float32", "float16", "bfloat16"]
Low = Literal["float16", "bfloat16"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What running the encoder takes; a `zoo.spec.EncoderSpec`.

    Attributes:
        inputs: Of the graph. A Dim's range is the profile that was proven.
        preprocess: As the graph's shapes need it: image size and longest text are the profile's.
        vocab: Number of word embeddings, if it has them.
        architecture: Fields of the configuration, for people.
    """

    name: str
    modality: Modality
    license: str
    dim: int
    pooling: str
    normalize: bool
    outputs: tuple[OutputName, ...]
    matryoshka: tuple[int, ...] = ()
    inputs: tuple[TensorSpec, ...]
    preprocess: Preprocess | None
    vocab: int | None = None
    architecture: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)

    def recipe_sha256(self) -> str:
        """Return a hash of all that decides what a vector means, the weights apart."""
        recipe = {
            name: to_plain(getattr(self, name), defaults=False)
            for name in ("preprocess", "pooling", "normalize", "dim", "architecture")
        }
        return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The graph's own facts.

    Attributes:
        opset: Of its operators.
        outputs: Names of the arrays that it gives: `pooled`, `tokens`, `mask`, ...
        mask: Name of the input that says which tokens are real, where no output does.
        dtype: Of weights and activations.
        fixed: Name of an axis to its only size, where it is no longer dynamic.
    """

    opset: int
    outputs: tuple[str, ...]
    mask: str | None = None
    dtype: Precision = "float32"
    fixed: Mapping[str, int] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Whose weights these are.

    Attributes:
        source: As in WeightsSpec, without the folders of a machine; `random` with its seed.
        revision: Commit of the repository.
        sha256: Name of each file to its hash.
    """

    source: str
    revision: str | None = None
    sha256: Mapping[str, str] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate said.

    Attributes:
        outcome: Only what passed is opened; `deferred` is what could not be run where it was made.
        line: In one sentence.
        executed: `native`, or `emulated`: float32 operators whose results were rounded as the
            precision would, because the machine has no operators of that precision.
    """

    outcome: Literal["passed", "refused", "deferred"]
    line: str
    executed: Literal["native", "emulated"] = "native"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionPlan:
    """Which operators of a graph run in low precision: the float32 graph plus casts.

    Attributes:
        dtype: Of the others.
        structure_sha256: Of the float32 graph that passed, to which only casts were added.
        keep: Patterns of modules that were kept in float32 by hand.
        float32: Why operators stay in float32, to their names.
    """

    dtype: Low
    structure_sha256: str
    keep: tuple[str, ...] = ()
    float32: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NOTHING)

    @property
    def operators(self) -> frozenset[str]:
        """Names of all operators in float32."""
        return frozenset(name for names in self.float32.values() for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What a target made of the graph, for its own runtime.

    Attributes:
        target: Name of the target that made it and runs it: `tensorrt`, `tensorrt-rtx`, ...
        file: In the bundle.
        version: Of the runtime that it is for.
        devices: What it runs on, in the target's own words: `sm_89`.
        facts: What else the target wants to know before it loads the file.
        verdict: `deferred` until it has been run.
    """

    target: str
    file: str
    version: str
    devices: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """What `zoo verify` holds the runtime to.

    Attributes:
        cases: Number of batches in golden.safetensors.
        limits: Output's name to the largest relative error.
        texts: Raw items of each batch, to prove the tokenizer with; none for images.
    """

    cases: int
    limits: Mapping[str, float]
    texts: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What a file's bytes must be.

    Attributes:
        sha256: 64 hex digits.
        size: Bytes.
    """

    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that is known about a bundle.

    Attributes:
        recipe_sha256: Of `facts`, as `Facts.recipe_sha256` computes it.
        toolchain: Package to version.
        plan: Of the precision, unless it is float32.
        engine: Beside the graph, if another runtime than ONNX Runtime was asked for.
        files: Every file but the manifest.
    """

    facts: Facts
    graph: Graph
    weights: Origin
    verdict: Verdict
    golden: Golden
    recipe_sha256: str
    toolchain: Mapping[str, str]
    plan: PrecisionPlan | None = None
    engine: Engine | None = None
    files: Mapping[str, FileFacts] = field(default_factory=lambda: _NOTHING)
