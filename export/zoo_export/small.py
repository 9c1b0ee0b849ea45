"""What can be said of a graph that is too large to be judged: that its tiny version is right."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from zoo.bundle import MODEL
from zoo.loading import random_module
from zoo.nn.meta import on_meta
from zoo.spec import ModelSpec
from zoo.testing.shrink import tiny
from zoo_export.binding import bind
from zoo_export.onnx import export_graph
from zoo_export.parity import OnnxCandidate, Report, default_profile
from zoo_export.parity.gate import judge
from zoo_export.tracing import choose_outputs


def with_tiny(row: ModelSpec, put_off: Report) -> Report:
    """Return a report that was put off, with what the gate says of the row's tiny version.

    The tiny version has every feature of the row and random weights, and its graph is made the same
    way: traced without numbers, which are streamed in. It passes nothing; if it is refused, so is
    the row.
    """
    report = judge_tiny(row)
    said = "its tiny version passed" if report.passed else f"its tiny version: {report.line()}"
    verdict = "refused" if report.verdict == "refused" else put_off.verdict
    return replace(put_off, verdict=verdict, reason=f"{put_off.reason}; {said}")


def judge_tiny(row: ModelSpec) -> Report:
    """Export the tiny version of a row with streamed weights, and judge it."""
    small = tiny(row)
    profile = default_profile(small)
    small = bind(small, profile)
    module = random_module(small)
    tensors = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    with on_meta():
        empty = small.config.build().eval()
    outputs, _ = choose_outputs(small, module, None)
    with tempfile.TemporaryDirectory() as folder:
        exported = export_graph(
            small,
            empty,
            Path(folder, MODEL),
            outputs=outputs,
            facts={},
            read=lambda name: tensors[name].detach(),
        )
        graph = OnnxCandidate(exported.path, scopes=exported.scopes)
        return judge(small, module, {"onnx": graph}, profile=profile, outputs=outputs)
