"""From a row to a proven bundle: load, trace, judge, lower, pack."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zoo.bundle import PARITY, README, SCOPES, write_manifest
from zoo.errors import OptionError, ParityError
from zoo.manifest import Golden, Manifest, Precision, Verdict
from zoo.new_bundle import new_bundle
from zoo.preprocess import Array, Preprocessor
from zoo.runtime.onnx import OnnxBackend, open_session
from zoo.spec import ModelSpec
from zoo.targets import EngineOptions, Target
from zoo_export.binding import dynamic_dims
from zoo_export.draft import Clock, Draft, bundled_preprocessor, traced
from zoo_export.engine import add_engine
from zoo_export.golden import write_golden
from zoo_export.lowered import lowered
from zoo_export.onnx import Exported
from zoo_export.parity import OnnxCandidate, Profile, Report
from zoo_export.parity.backend_candidate import BackendCandidate
from zoo_export.parity.gate import deferred, judge_against
from zoo_export.parity.reference import prepare
from zoo_export.parity.repro import write_repros
from zoo_export.parity.taps import Boundary, Values
from zoo_export.provenance import toolchain
from zoo_export.readme import readme
from zoo_export.small import with_tiny

REJECTED = ".rejected"
# Bytes a parameter that a gate holds beside its oracle: the network, and the copy of the weights
# that a runtime lays out for its products.
IN_FLOAT32 = 2 * 4
REPRO = "repro"  # in the folder of a graph that was refused


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


class SessionCandidate(BackendCandidate):
    """A graph on ONNX Runtime, which also shows what crosses the boundaries of modules.

    Args:
        backend: The graph's.
        preprocessor: That the bundle will have.
        graph: The file, and where its nodes come from.
    """

    def __init__(self, backend: OnnxBackend, preprocessor: Preprocessor, graph: Exported) -> None:
        super().__init__(backend, preprocessor)
        self.graph = graph

    def taps(self, batch: dict[str, Array], shapes: Mapping[Boundary, tuple[int, ...]]) -> Values:
        """Run a batch once with what crosses the boundaries of modules as further outputs."""
        return OnnxCandidate(self.graph.path, scopes=self.graph.scopes).taps(batch, shapes)


def build_bundle(
    row: ModelSpec,
    place: Path,
    *,
    profile: Profile,
    outputs: Sequence[str] | None = None,
    precision: Precision = "float32",
    keep: Sequence[str] = (),
    fix: bool = False,
    weights: str | Path | None = None,
    seed: int = 0,
    thorough: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    streamed: bool | None = None,
    target: Target | None = None,
    options: EngineOptions = EngineOptions(),  # noqa: B008  frozen
) -> Built:
    """Export a row and prove it.

    Args:
        row: What is exported.
        place: Folder of the bundle.
        profile: Shapes that it is made for and proven on.
        outputs: Arrays that the graph gives; by default pooled vectors and tokens.
        precision: Of the graph. Below float32 it is the float32 graph, once that has passed, plus
            casts.
        keep: Patterns of modules that then stay in float32.
        fix: Whether to look for more such modules, if the graph does not pass without.
        weights: As for `zoo.load`.
        seed: Of random weights.
        thorough: Whether the gate runs its costliest cases too.
        overwrite: Whether a bundle that is there already is replaced.
        progress: Whether downloads show a bar.
        streamed: Whether weights are read from the checkpoint as they are written, and never held;
            by default where they would take much of the free memory.
        target: What makes an engine of the graph; None for the graph alone.
        options: Of the engine.

    Raises:
        ParityError: The graph was not proven; it lies beside `place`, with the report.
        OptionError: The row does not give or take what was asked for, or the place is taken.
        ExportError: The network cannot be traced.
        MissingExtraError: A package is not installed.
    """
    if row.export != "torch":
        raise OptionError(f"{row.name} is no network, so there is no graph of it.")
    if precision == "float32" and (keep or fix):
        raise OptionError("A float32 graph has nothing to keep in float32.")
    toolchain()  # a missing package shows before anything is fetched
    if target is not None:
        target.check(precision, options)
    clock = Clock()
    with new_bundle(place, overwrite=overwrite) as folder:
        draft = traced(
            row,
            folder,
            profile=profile,
            outputs=outputs,
            weights=weights,
            seed=seed,
            progress=progress,
            streamed=streamed,
            clock=clock,
        )
        draft = _judged(draft, thorough=thorough)
        clock.lap("parity")
        if precision != "float32":
            draft = lowered(draft, precision, keep=keep, fix=fix)
            clock.lap("precision")
        _write_scopes(draft)
        if target is not None and draft.passed:
            draft = add_engine(draft, _manifest(draft, Golden(cases=0, limits={})), target, options)
            clock.lap("engine")
        manifest = _packed(draft)
        clock.lap("pack")
        report = draft.verdict
        if not report.passed:
            rejected = _reject(folder, place)
            _write_repro(draft, rejected)
            raise ParityError(f"{report.line()}. It lies in {rejected}.{_advice(draft)}")
    return Built(
        path=place,
        manifest=manifest,
        report=report,
        nodes=draft.exported.nodes,
        seconds=clock.seconds,
    )


def _judged(draft: Draft, *, thorough: bool) -> Draft:
    """Hold the float32 graph against the network."""
    unread = draft.unread
    beside = 0 if unread is None else IN_FLOAT32 * draft.row.params
    put_off = deferred(draft.row, draft.module, beside=beside)
    if put_off is not None:
        return replace(draft, report=put_off if unread is None else with_tiny(draft.row, put_off))
    if unread is not None:
        draft = replace(draft, module=unread.load(draft.row))
    reference = prepare(
        draft.row,
        draft.module,
        profile=draft.profile,
        outputs=draft.graph.outputs,
        preprocessor=draft.preprocessor,
        thorough=thorough,
    )
    backend = OnnxBackend(open_session(draft.exported.path), draft.facts, draft.graph)
    candidate = SessionCandidate(backend, bundled_preprocessor(draft), draft.exported)
    report = judge_against(reference, {"onnx": candidate})
    return replace(draft, reference=reference, report=report)


def _packed(draft: Draft) -> Manifest:
    """Write everything but the graph into the folder, the manifest last."""
    report, folder = draft.verdict, draft.folder
    golden = Golden(cases=0, limits={})
    if report.passed:
        golden = write_golden(
            draft.row,
            draft.module,
            draft.preprocessor,
            draft.graph.outputs,
            folder,
            low=None if draft.plan is None else draft.reference,
        )
    manifest = _manifest(draft, golden)
    (folder / PARITY).write_text(report.to_json() + "\n", encoding="utf-8")
    (folder / README).write_text(readme(draft.row, manifest), encoding="utf-8")
    return write_manifest(folder, manifest)


def _manifest(draft: Draft, golden: Golden) -> Manifest:
    """Return what the bundle says of itself so far."""
    report = draft.verdict
    return Manifest(
        facts=draft.facts,
        graph=draft.graph,
        weights=draft.origin,
        verdict=Verdict(outcome=report.verdict, line=report.line(), executed=report.executed),
        golden=golden,
        recipe_sha256=draft.facts.recipe_sha256(),
        toolchain=toolchain(),
        plan=draft.plan,
        engine=draft.engine,
    )


def _write_scopes(draft: Draft) -> None:
    scopes = json.dumps(dict(draft.exported.scopes), indent=1)
    (draft.folder / SCOPES).write_text(scopes, encoding="utf-8")


def _advice(draft: Draft) -> str:
    """Return what may help a graph that was refused."""
    if {"height", "width"} & (dynamic_dims(draft.row).keys() - draft.graph.fixed.keys()):
        return (
            " A network may treat image sizes differently, and its graph then holds for some of "
            "them: export one --size at a time."
        )
    return ""


def _reject(folder: Path, place: Path) -> Path:
    """Move what was refused to where nobody takes it for a bundle that passed."""
    rejected = place.with_name(place.name + REJECTED)
    with new_bundle(rejected, overwrite=True) as target:
        for path in folder.iterdir():
            shutil.move(path, target / path.name)
    return rejected


def _write_repro(draft: Draft, rejected: Path) -> None:
    """Put what shows the error beside a float32 graph that was refused."""
    if draft.reference is not None and draft.plan is None:
        graph = OnnxCandidate(rejected / draft.exported.path.name, scopes=draft.exported.scopes)
        list(write_repros(draft.reference, draft.verdict, {"onnx": graph}, rejected / REPRO))
