"""Print the tables of docs/parity.md: `python -m tests.mutations [EXPORTS.jsonl]`.

EXPORTS.jsonl is what `python -m tests.mutations.exports` has written.
"""

from __future__ import annotations

import copy
import io
import logging
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import click
import numpy as np
import torch

from tests.mutations import exports
from tests.mutations.bench import reference
from tests.mutations.catalog import MUTATIONS
from tests.mutations.rewrites import REWRITES
from tests.mutations.rivals import RIVALS, objects
from zoo.cli.output import table
from zoo.preprocess import Array, Batch
from zoo_export.binding import bind
from zoo_export.parity import Candidate, TorchCandidate, default_profile, judge_against
from zoo_export.parity.cases import collate
from zoo_export.parity.reference import Reference
from zoo_export.parity.report import Report
from zoo_export.parity.samples import made_samples, points
from zoo_export.tracing import Wrapped, example_inputs, input_names

SEEDS = range(20)
VERIFIED, MOST_VERIFIED = "all-minilm-l6-v2", 10
CLEAN = ("vit-b16", "dinov2-b14-reg", "dinov2-g14", "clip-b16-image", "clip-b16-text",
         "all-minilm-l6-v2", "roberta-base", "resnet-50")  # fmt: skip
Ratio = tuple[int, float, float]  # elements, ratio, used part of the limit


def dummy(base: Reference) -> Batch:
    """Return the one input that other tools compare on: noise, two of one shape, unpadded."""
    typical = {"typical": points(base.spec, default_profile(base.spec))["typical"]}
    samples = {s.name.split(",")[0]: s for s in made_samples(base.spec, typical, real=False)}
    noise = samples["noise"]
    batch = collate(base.spec, [noise, noise], noise.sizes)
    return {name: np.concatenate((a[:1], np.flip(a[1:], axis=-1))) for name, a in batch.items()}


def seen_by(rival: str, base: Reference, candidate: Candidate, batches: Sequence[Batch]) -> bool:
    """Return whether a tool objects to a candidate on any of some batches."""
    eager = TorchCandidate(base.spec, base.module, base.outputs)
    for batch in batches:
        try:
            found = candidate.run(dict(batch))
        except Exception:  # whatever a candidate raises, all tools notice
            return True
        if objects(rival, eager.run(batch), found):
            return True
    return False


def batches_of(base: Reference) -> list[dict[str, Array]]:
    """Return all batches of a lattice."""
    samples = base.lattice.samples
    return [collate(base.spec, [samples[row] for row in case.rows], case.sizes)
            for case in base.lattice.cases if base.runs(case)]  # fmt: skip


def mutants() -> None:
    """Print how many mutants each comparison refuses, by kind."""
    lines, totals = [], defaultdict(int)
    sited = named = stated = 0
    families: dict[str, list[bool]] = defaultdict(list)
    for mutation in MUTATIONS:
        counts: dict[str, int] = defaultdict(int)
        for name in mutation.rows:
            base = reference(name)
            candidate = mutation.candidate(base.spec, base.module, base.outputs)
            report = judge_against(base, {"mutant": candidate})
            counts["zoo"] += not report.passed
            families[base.spec.family.name].append(not report.passed)
            finding = report.candidates[0].finding
            if mutation.site:
                sited += 1
                places = (mutation.site, mutation.site.rpartition(".")[0])
                named += finding is not None and finding.module in places
            stated += finding is not None and finding.cause != "unknown"
            for rival in RIVALS:
                counts[f"{rival}, one input"] += seen_by(rival, base, candidate, [dummy(base)])
                counts[rival] += seen_by(rival, base, candidate, batches_of(base))
        pairs = len(mutation.rows)
        for key, count in counts.items():
            totals[key] += count
        totals["pairs"] += pairs
        shown = (f"{counts[f'{rival}, one input']} / {counts[rival]}" for rival in RIVALS)
        lines.append((mutation.kind, str(pairs), str(counts["zoo"]), *shown))
    shown = (f"{totals[f'{rival}, one input']} / {totals[rival]}" for rival in RIVALS)
    lines.append(("all", str(totals["pairs"]), str(totals["zoo"]), *shown))
    click.echo(table(("kind", "pairs", "zoo", *RIVALS), lines))
    click.echo()
    rates = ((name, f"{sum(killed)}/{len(killed)}") for name, killed in sorted(families.items()))
    click.echo(table(("family", "refused"), rates))
    click.echo(f"\nmodule named: {named} of {sited}; cause stated: {stated} of {totals['pairs']}")


def verified() -> None:
    """Print how many mutants `torch.onnx.export(verify=True)` itself warns of, on its own terms.

    It compares the graph with the module that the graph was made of.
    """
    warned: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: warned.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("torch.onnx._internal.exporter._core")
    log.addHandler(handler)
    base = reference(VERIFIED)
    row = bind(base.spec, default_profile(base.spec))
    mutations = [m for m in MUTATIONS if VERIFIED in m.rows and m.site][:MOST_VERIFIED]
    objected = 0
    for mutation in mutations:
        candidate = mutation.candidate(base.spec, base.module, base.outputs)
        wrapped = Wrapped(candidate.module, input_names(row.inputs), base.outputs).eval()
        warned.clear()
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                wrapped, tuple(example_inputs(row, {}).values()), dynamo=True, verify=True
            )
        objected += any("large" in message for message in warned)
    click.echo(f"torch.onnx.export(verify=True) warns of {objected} of {len(mutations)} mutants")


def clean(seeds: Sequence[int]) -> list[Ratio]:
    """Print how many right computations are refused; return their ratios."""
    refused = total = 0
    ratios: list[Ratio] = []
    for name in CLEAN:
        for seed in seeds:
            base = reference(name, seed)
            for rewrite in REWRITES:
                net = copy.deepcopy(base.module)
                rewrite(net)
                candidate = TorchCandidate(base.spec, net, base.outputs)
                report = judge_against(base, {"clean": candidate})
                total += 1
                refused += not report.passed
                ratios += ratios_of(report)
    click.echo(f"right computations refused: {refused} of {total}")
    return ratios


def exported(file: Path) -> Iterator[Ratio]:
    """Yield the ratios of right graphs, from what `tests.mutations.exports` has written."""
    results = exports.read(file)
    passed = [result for result in results if result["verdict"] == "passed"]
    click.echo(f"right graphs refused: {len(results) - len(passed)} of {len(results)}")
    for result in passed:
        yield from ((elements, ratio, worst) for elements, ratio, worst in result["ratios"])


def ratios_of(report: Report) -> list[Ratio]:
    """Return every output's elements, ratio and used part of its limits."""
    return [(output.elements, output.ratio, output.worst)
            for candidate in report.candidates for output in candidate.outputs]  # fmt: skip


def distribution(ratios: Mapping[str, Sequence[Ratio]]) -> None:
    """Print quantiles of ratios, by how many numbers were pooled."""
    lines = []
    for what, found in ratios.items():
        for least, below in ((0, 100), (100, 1000), (1000, 10**18)):
            here = [(ratio, worst) for count, ratio, worst in found if least <= count < below]
            if here:
                part, worst = (np.array(values) for values in zip(*here, strict=True))
                marks = (f"{value:.2f}" for value in np.quantile(part, (0, 0.5, 0.95, 0.99, 1)))
                size = f"{least}.." if below > 10**9 else f"{least}..{below - 1}"
                lines.append((what, size, str(len(here)), *marks, f"{worst.max():.2f}"))
    head = ("candidate", "elements", "outputs", "min", "median", "p95", "p99", "max", "used")
    click.echo(table(head, lines))


if __name__ == "__main__":
    torch.set_num_threads(1)
    mutants()
    verified()
    click.echo()
    found: dict[str, Sequence[Ratio]] = {"right rewrites": clean(SEEDS)}
    if sys.argv[1:]:
        found["ONNX Runtime"] = list(exported(Path(sys.argv[1])))
    click.echo()
    distribution(found)
