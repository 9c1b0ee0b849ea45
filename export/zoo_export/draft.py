"""A bundle in the making: the network, its graph so far, and what has been proven of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import nn

from zoo.backends.eager import EagerBackend
from zoo.bundle import MODEL, TOKENIZER
from zoo.loading import Unread, load_row, open_row, random_module
from zoo.manifest import Engine, Facts, Graph, Origin, PrecisionPlan
from zoo.preprocess import Preprocessor, preprocessor_for
from zoo.preprocess.terms import TermPreprocessor
from zoo.preprocess.text import TextPreprocessor
from zoo.preprocess.words import WordPreprocessor
from zoo.records import to_plain
from zoo.spec import ModelSpec
from zoo.testing.shrink import tiny
from zoo_export.binding import bind, fixed_axes
from zoo_export.onnx import Exported, export_graph
from zoo_export.parity import Profile, Report
from zoo_export.parity.reference import Reference
from zoo_export.provenance import OPSET, origin_of
from zoo_export.streamed import reader, streams
from zoo_export.tracing import choose_outputs

_OF_WORDS = (TextPreprocessor, WordPreprocessor, TermPreprocessor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A bundle in the making; each step returns a new one.

    Attributes:
        row: What is exported, bound to the profile.
        module: Its network, in float32; on the meta device until there is memory for it.
        preprocessor: Of the bound row.
        profile: Shapes that it is made for and proven on.
        folder: Where its files are written.
        facts: What running it takes.
        origin: Whose weights it has.
        graph: What its graph takes and gives.
        exported: The graph's file, and where its nodes come from.
        reference: What graphs are judged by; None where there is no memory for it.
        report: What the last gate said, once there was one.
        plan: Which operators run in low precision, unless all are in float32.
        engine: What a target made of the graph, if one was asked for.
        unread: Where the weights of a network on the meta device are.
    """

    row: ModelSpec
    module: nn.Module
    preprocessor: Preprocessor
    profile: Profile
    folder: Path
    facts: Facts
    origin: Origin
    graph: Graph
    exported: Exported
    reference: Reference | None = None
    report: Report | None = None
    plan: PrecisionPlan | None = None
    engine: Engine | None = None
    unread: Unread | None = None

    @property
    def passed(self) -> bool:
        """Whether the last gate let it out."""
        return self.verdict.passed

    @property
    def verdict(self) -> Report:
        """What the last gate said, of a draft that has been judged."""
        assert self.report is not None, "a draft is judged before it is packed"
        return self.report


class Clock:
    """Names the laps of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a lap."""
        now = time.perf_counter()
        self.seconds[name], self._last = now - self._last, now


def traced(
    row: ModelSpec,
    folder: Path,
    *,
    profile: Profile,
    outputs: Sequence[str] | None,
    weights: str | Path | None,
    seed: int,
    progress: bool,
    streamed: bool | None,
    clock: Clock,
) -> Draft:
    """Load a network; write its graph in float32, and its tokenizer.

    Args:
        row: What is exported.
        folder: Of the bundle.
        profile: Shapes that it is made for.
        outputs: Arrays that the graph gives; by default pooled vectors and tokens.
        weights: As for `zoo.load`.
        seed: Of random weights.
        progress: Whether downloads show a bar.
        streamed: Whether weights are read as they are written; None: if they are large.
        clock: Gets the laps `load` and `export`.
    """
    row = bind(row, profile)
    unread: Unread | None = None
    if streams(row, weights, streamed):
        unread = open_row(row, weights=weights, progress=progress)
        module, preprocessor = unread.module, unread.preprocessor
        small = tiny(row)  # gives the same outputs, and has numbers
        chosen, mask = choose_outputs(small, random_module(small), outputs)
    else:
        encoder = load_row(row, weights=weights, seed=seed, progress=progress)
        module, preprocessor = cast(EagerBackend, encoder.backend).module, encoder.preprocessor
        chosen, mask = choose_outputs(row, module, outputs)
    facts, origin = facts_of(row, chosen), origin_of(row, weights, seed)
    clock.lap("load")
    exported = export_graph(
        row,
        module,
        folder / MODEL,
        outputs=chosen,
        facts=_inscription(facts, origin),
        read=None if unread is None else reader(unread),
    )
    if isinstance(preprocessor, _OF_WORDS) and preprocessor.file:
        preprocessor.save_tokenizer(folder / TOKENIZER)
    clock.lap("export")
    return Draft(
        row=row,
        module=module,
        preprocessor=preprocessor,
        profile=profile,
        folder=folder,
        facts=facts,
        origin=origin,
        graph=Graph(opset=OPSET, outputs=chosen, mask=mask, fixed=dict(fixed_axes(row))),
        exported=exported,
        unread=unread,
    )


def bundled_preprocessor(draft: Draft) -> Preprocessor:
    """Return the preprocessor that the bundle will have, made from its own files."""
    tokenizer = draft.folder / TOKENIZER  # the stand-in of random weights is made anew
    return preprocessor_for(draft.facts, tokenizer if tokenizer.is_file() else None)


def facts_of(row: ModelSpec, graph_outputs: Sequence[str]) -> Facts:
    """Return what a bundle says of a bound row."""
    levels = any(name.startswith("pyramid") for name in graph_outputs)
    gives = {*graph_outputs, *(["pyramid"] if levels else [])}
    return Facts(
        name=row.name,
        modality=row.modality,
        license=row.license,
        dim=row.dim,
        pooling=row.pooling,
        normalize=row.normalize,
        outputs=tuple(name for name in row.outputs if name in gives),
        matryoshka=row.matryoshka,
        inputs=row.inputs,
        preprocess=row.preprocess,
        vocab=row.vocab,
        architecture=to_plain(row.config),
    )


def _inscription(facts: Facts, origin: Origin) -> dict[str, str]:
    """Return what the graph's file itself says, wherever it is copied to."""
    weights = origin.source + (f"@{origin.revision}" if origin.revision else "")
    return {
        "model": facts.name,
        "license": facts.license,
        "weights": weights,
        "recipe_sha256": facts.recipe_sha256(),
    }
