"""From a row to a proven bundle: load, trace, judge, pack."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import nn

from zoo.backends.eager import EagerBackend
from zoo.bundle import MODEL, PARITY, README, SCOPES, TOKENIZER, new_bundle, write_manifest
from zoo.encoder import Encoder
from zoo.errors import OptionError, ParityError
from zoo.loading import load_row
from zoo.manifest import Facts, Golden, Graph, Manifest, Origin, Verdict
from zoo.preprocess import Array, Preprocessor, preprocessor_for
from zoo.preprocess.text import TextPreprocessor
from zoo.records import to_plain
from zoo.runtime.onnx import OnnxBackend, open_session
from zoo.spec import ModelSpec
from zoo_export.binding import bind, dynamic_dims, fixed_axes
from zoo_export.golden import write_golden
from zoo_export.onnx import Exported, export_graph
from zoo_export.parity import OnnxCandidate, Profile, Report, judge
from zoo_export.parity.taps import Boundary, Values
from zoo_export.provenance import OPSET, origin_of, toolchain
from zoo_export.readme import readme
from zoo_export.tracing import choose_outputs

REJECTED = ".rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A bundle that passed its gate.

    Attributes:
        path: Its folder.
        manifest: What it says of itself.
        report: What the gate measured.
        nodes: Operators of the graph.
        seconds: Step to the time it took.
    """

    path: Path
    manifest: Manifest
    report: Report
    nodes: int
    seconds: Mapping[str, float]


class SessionCandidate:
    """A graph on ONNX Runtime, as the gate judges it.

    Args:
        backend: The graph's.
        preprocessor: That the bundle will have.
        graph: The file, and where its nodes come from.
    """

    def __init__(self, backend: OnnxBackend, preprocessor: Preprocessor, graph: Exported) -> None:
        self.backend = backend
        self.preprocessor = preprocessor
        self.graph = graph

    def run(self, batch: dict[str, Array]) -> dict[str, Array]:
        """Run a batch of the row's inputs; return the outputs by name."""
        return self.backend.arrays(batch)

    def taps(self, batch: dict[str, Array], shapes: Mapping[Boundary, tuple[int, ...]]) -> Values:
        """Run a batch once with what crosses the boundaries of modules as further outputs."""
        return OnnxCandidate(self.graph.path, scopes=self.graph.scopes).taps(batch, shapes)


def build_bundle(
    row: ModelSpec,
    place: Path,
    *,
    profile: Profile,
    outputs: Sequence[str] | None = None,
    weights: str | Path | None = None,
    seed: int = 0,
    thorough: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Built:
    """Export a row and prove it.

    Args:
        row: What is exported.
        place: Folder of the bundle.
        profile: Shapes that it is made for and proven on.
        outputs: Arrays that the graph gives; by default pooled vectors and tokens.
        weights: As for `zoo.load`.
        seed: Of random weights.
        thorough: Whether the gate runs its costliest cases too.
        overwrite: Whether a bundle that is there already is replaced.
        progress: Whether downloads show a bar.

    Raises:
        ParityError: The graph was not proven; it lies beside `place`, with the report.
        OptionError: The row does not give or take what was asked for, or the place is taken.
        ExportError: The network cannot be traced.
        MissingExtraError: A package is not installed.
    """
    if row.export != "torch":
        raise OptionError(f"{row.name} is no network, so there is no graph of it.")
    versions = toolchain()  # a missing package shows before anything is fetched
    row = bind(row, profile)
    clock = _Clock()
    with new_bundle(place, overwrite=overwrite) as folder:
        encoder = load_row(row, weights=weights, seed=seed, progress=progress)
        module = cast(EagerBackend, encoder.backend).module
        chosen, mask = choose_outputs(row, module, outputs)
        facts, origin = facts_of(row, chosen), origin_of(row, weights, seed)
        clock.lap("load")
        exported = export_graph(
            row, module, folder / MODEL, outputs=chosen, facts=_inscription(facts, origin)
        )
        clock.lap("export")
        graph = Graph(opset=OPSET, outputs=chosen, mask=mask, fixed=dict(fixed_axes(row)))
        report = _judge(row, module, encoder, facts, graph, profile, exported, thorough=thorough)
        clock.lap("parity")
        golden = Golden(cases=0, limits={})
        if report.passed:
            golden = write_golden(row, module, encoder.preprocessor, chosen, folder)
        manifest = Manifest(
            facts=facts,
            graph=graph,
            weights=origin,
            verdict=Verdict(outcome=report.verdict, line=report.line()),
            golden=golden,
            recipe_sha256=facts.recipe_sha256(),
            toolchain=versions,
        )
        (folder / PARITY).write_text(report.to_json() + "\n", encoding="utf-8")
        (folder / SCOPES).write_text(json.dumps(dict(exported.scopes), indent=1), encoding="utf-8")
        (folder / README).write_text(readme(row, manifest), encoding="utf-8")
        manifest = write_manifest(folder, manifest)
        clock.lap("pack")
        if not report.passed:
            raise ParityError(
                f"{report.line()}. It lies in {_reject(folder, place)}.{_advice(row, graph)}"
            )
    return Built(
        path=place,
        manifest=manifest,
        report=report,
        nodes=exported.nodes,
        seconds=clock.seconds,
    )


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


def _judge(
    row: ModelSpec,
    module: nn.Module,
    encoder: Encoder,
    facts: Facts,
    graph: Graph,
    profile: Profile,
    exported: Exported,
    *,
    thorough: bool,
) -> Report:
    """Write the tokenizer and hold the graph against the network."""
    tokenizer = None  # the stand-in of random weights is made anew wherever it is needed
    if isinstance(encoder.preprocessor, TextPreprocessor) and encoder.preprocessor.file:
        tokenizer = exported.path.with_name(TOKENIZER)
        encoder.preprocessor.save_tokenizer(tokenizer)
    preprocessor = preprocessor_for(facts, tokenizer)
    backend = OnnxBackend(open_session(exported.path), facts, graph)
    return judge(
        row,
        module,
        {"onnx": SessionCandidate(backend, preprocessor, exported)},
        profile=profile,
        outputs=graph.outputs,
        preprocessor=encoder.preprocessor,
        thorough=thorough,
    )


def _advice(row: ModelSpec, graph: Graph) -> str:
    """Return what may help a graph that was refused."""
    if {"height", "width"} & (dynamic_dims(row).keys() - graph.fixed.keys()):
        return (
            " A network may treat image sizes differently, and its graph then holds for some of "
            "them: export one --size at a time."
        )
    return ""


def _inscription(facts: Facts, origin: Origin) -> dict[str, str]:
    """Return what the graph's file itself says, wherever it is copied to."""
    weights = origin.source + (f"@{origin.revision}" if origin.revision else "")
    return {
        "model": facts.name,
        "license": facts.license,
        "weights": weights,
        "recipe_sha256": facts.recipe_sha256(),
    }


def _reject(folder: Path, place: Path) -> Path:
    """Move what was refused to where nobody takes it for a bundle that passed."""
    rejected = place.with_name(place.name + REJECTED)
    with new_bundle(rejected, overwrite=True) as target:
        for path in folder.iterdir():
            shutil.move(path, target / path.name)
    return rejected


class _Clock:
    """Names the laps of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a lap."""
        now = time.perf_counter()
        self.seconds[name], self._last = now - self._last, now
