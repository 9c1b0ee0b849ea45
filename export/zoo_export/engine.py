"""The last step of a bundle: what a target makes of the graph, judged if it can be run here."""

from __future__ import annotations

from dataclasses import replace

from zoo.bundle import Bundle
from zoo.manifest import Engine, Manifest, Verdict
from zoo.targets import EngineOptions, Target
from zoo_export.draft import Draft, bundled_preprocessor
from zoo_export.parity.backend_candidate import BackendCandidate
from zoo_export.parity.gate import judge_against


def add_engine(draft: Draft, manifest: Manifest, target: Target, options: EngineOptions) -> Draft:
    """Let a target add its file to a bundle whose graph has passed, and hold it to the same gate.

    Where it cannot be run, it is put off: whoever opens the bundle proves it first.

    Args:
        draft: Its scopes have been written.
        manifest: Of the bundle so far.
        target: Whose runtime it is for.
        options: What was asked for.

    Raises:
        ExportError: The runtime refuses the graph.
        OptionError: The target or the machine cannot do what an option asks for.
        MissingExtraError: The runtime is not installed.
    """
    engine = target.build(draft.folder, manifest, options)
    if engine is None:
        return draft
    obstacle = target.obstacle(engine, None)
    if draft.reference is None:
        obstacle = "the network is too large to be run beside it"
    if obstacle is not None:
        return replace(draft, engine=replace(engine, verdict=put_off(engine, obstacle)))
    bundle = Bundle(path=draft.folder, manifest=replace(manifest, engine=engine))
    backend = target.open(bundle, device=None, threads=None)
    assert draft.reference is not None, "seen to above"
    report = judge_against(
        draft.reference, {engine.target: BackendCandidate(backend, bundled_preprocessor(draft))}
    )
    verdict = Verdict(outcome=report.verdict, line=report.line())
    together = replace(
        draft.verdict,
        verdict=report.verdict,
        candidates=(*draft.verdict.candidates, *report.candidates),
        seconds={**draft.verdict.seconds, **report.seconds},
    )
    return replace(draft, engine=replace(engine, verdict=verdict), report=together)


def put_off(engine: Engine, obstacle: str) -> Verdict:
    """Return the verdict on an engine that could not be run where it was made."""
    return Verdict(
        outcome="deferred",
        line=f"ONNX passed; engine built for {', '.join(engine.devices) or engine.target}, not run "
        f"here: {obstacle.rstrip('.')}. `zoo verify DIR` proves it where it will run",
    )
