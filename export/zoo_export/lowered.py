"""From a float32 graph that has passed to one of low precision that has passed."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zoo.bundle import MODEL
from zoo.manifest import Low, PrecisionPlan
from zoo.preprocess import Batch
from zoo.weights.lock import hash_file
from zoo_export import graph
from zoo_export.draft import Draft
from zoo_export.onnx import Exported
from zoo_export.parity.cases import Case, collate
from zoo_export.parity.low import fitting_reference, judge_low, low_reference
from zoo_export.parity.reference import Reference
from zoo_export.parity.report import Report
from zoo_export.precision.casts import lower
from zoo_export.precision.plan import make_plan
from zoo_export.precision.ranges import measure_ranges
from zoo_export.precision.sensitive import search


@dataclass(frozen=True, slots=True, kw_only=True)
class _Try:
    """One plan, and what the gate says of it."""

    plan: PrecisionPlan
    exported: Exported
    reference: Reference
    report: Report


def lowered(draft: Draft, dtype: Low, *, keep: Sequence[str] = (), fix: bool = False) -> Draft:
    """Put a graph of low precision in the place of a float32 graph that has passed; judge it.

    Args:
        draft: Judged; one that did not pass comes back as it is.
        dtype: Of what need not stay in float32.
        keep: Patterns of modules to keep in float32.
        fix: Whether to look for more such modules, if the graph does not pass without.

    Raises:
        OptionError: A pattern fits no module, or nothing is left for low precision.
    """
    reference = draft.reference
    if not draft.passed or reference is None:
        return draft
    with tempfile.TemporaryDirectory(dir=draft.folder) as folder:
        twin = Path(folder) / MODEL
        for suffix in ("", graph.DATA_SUFFIX):
            path = draft.folder / (MODEL + suffix)
            if path.exists():
                shutil.move(path, twin.with_name(path.name))
        spreads = measure_ranges(twin, batches(reference))
        sha256 = twin_sha256(twin)
        plain = low_reference(reference, dtype)

        def attempt(found: Sequence[str] = ()) -> _Try:
            model = graph.read(twin)
            plan = make_plan(
                model,
                spreads,
                dtype=dtype,
                scopes=draft.exported.scopes,
                structure_sha256=sha256,
                keep=keep,
                found=found,
            )
            path = draft.folder / MODEL
            scopes = lower(model, plan, draft.exported.scopes)
            graph.save(model, path)
            low = fitting_reference(plain, reference, path, scopes)
            report = judge_low(low, path, name=f"onnx {dtype}, emulated", scopes=scopes, twin=twin)
            exported = Exported(path=path, nodes=len(model.graph), scopes=scopes)
            return _Try(plan=plan, exported=exported, reference=low, report=report)

        done = attempt()
        if fix and not done.report.passed:
            modules = draft.exported.scopes.values()
            done = attempt(search(lambda found: attempt(found).report, modules))
    return replace(
        draft,
        graph=replace(draft.graph, dtype=dtype),
        exported=done.exported,
        plan=done.plan,
        reference=done.reference,
        report=done.report,
    )


def batches(reference: Reference) -> Iterator[Batch]:
    """Yield every sample of the lattice at least once, padded ones among them."""
    seen: set[int] = set()
    for case in reference.lattice.cases:
        if reference.runs(case) and (_padded(reference, case) or set(case.rows) - seen):
            seen.update(case.rows)
            samples = [reference.lattice.samples[row] for row in case.rows]
            yield collate(reference.spec, samples, case.sizes)


def twin_sha256(path: Path) -> str:
    """Return the hash of a graph; with weights beside it, of both hashes."""
    data = path.with_name(path.name + graph.DATA_SUFFIX)
    own = hash_file(path)[0]
    if not data.exists():
        return own
    return hashlib.sha256((own + hash_file(data)[0]).encode()).hexdigest()


def _padded(reference: Reference, case: Case) -> bool:
    samples = reference.lattice.samples
    return len(case.rows) == 1 and dict(samples[case.rows[0]].sizes) != dict(case.sizes)
