"""A graph of low precision that is handed in: measured by its own kind, held to its twin."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from zoo.errors import OptionError
from zoo.manifest import Low
from zoo.preprocess import Array, Preprocessor
from zoo_export import graph
from zoo_export.onnx import export_graph
from zoo_export.parity.candidate import Candidate
from zoo_export.parity.cutting import load_graph
from zoo_export.parity.gate import judge_against
from zoo_export.parity.low import fitting_reference, judge_low, low_reference
from zoo_export.parity.onnx_candidate import OnnxCandidate, node_scopes
from zoo_export.parity.reference import Reference
from zoo_export.parity.report import PROVEN, Report
from zoo_export.precision.operators import LOW

TWIN_REFUSED = "not proven, because the float32 graph itself was refused"


class LowGraph:
    """A graph that computes in float16 or bfloat16.

    How it is judged hangs on its precision, so it is no candidate among others.

    Args:
        path: The file.
        dtype: Its precision.
        scopes: Name of a node to the module that it comes from, where the file does not say.
        preprocessor: That the artefact prepares raw items with, if it has one.
        ours: Whether this package made it, so that its float32 graph can be made again.
        native: What runs it on hardware that has the precision; without, it is emulated.

    Attributes:
        shapes: Input's name to sizes; a word where the axis is dynamic.
        outputs: Names.
    """

    def __init__(
        self,
        path: Path,
        dtype: Low,
        *,
        scopes: Mapping[str, str] | None = None,
        preprocessor: Preprocessor | None = None,
        ours: bool = False,
        native: Candidate | None = None,
    ) -> None:
        self.path = path
        self.dtype: Low = dtype
        self.preprocessor = preprocessor
        self.ours = ours
        self.native = native
        model = load_graph(path).graph
        self.scopes = node_scopes(model) if scopes is None else scopes
        self.shapes = {
            value.name: tuple(
                axis.dim_value or axis.dim_param for axis in value.type.tensor_type.shape.dim
            )
            for value in model.input
        }
        self.outputs = tuple(value.name for value in model.output)

    def run(self, batch: dict[str, Array]) -> dict[str, Array]:
        """Refuse: it is not judged beside candidates in float32.

        Raises:
            OptionError: Always.
        """
        raise OptionError(f"{self.path.name} computes in {self.dtype}; judge it by `judge_graph`.")


def precision_of(path: Path) -> Low | None:
    """Return the precision of a graph that computes in less than float32, else None."""
    for node in graph.read(path).graph:
        for value in (*node.inputs, *node.outputs):
            if value is not None and value.dtype in LOW:
                return "float16" if value.dtype.name == "FLOAT16" else "bfloat16"
    return None


def judge_graph(
    reference: Reference, low: LowGraph, name: str, *, twin: Path | None, layers: bool = False
) -> Iterator[Report]:
    """Judge a graph of low precision, and before it the float32 graph that it claims to be.

    Args:
        reference: In float32.
        low: The graph.
        name: Of the candidate.
        twin: Its float32 graph; of a graph of our own it is made again if none is given.
        layers: Compare the boundaries of all modules, even if it passes.
    """
    with _twin(reference, low, twin) as exact:
        refused = False
        if exact is not None:
            candidate = OnnxCandidate(exact, preprocessor=low.preprocessor)
            report = judge_against(reference, {f"{name}, in float32": candidate})
            refused = not report.passed
            yield report
        fitting = fitting_reference(
            low_reference(reference, low.dtype), reference, low.path, low.scopes
        )
        report = judge_low(
            fitting,
            low.path,
            name=f"{name}, {low.dtype}" + (" emulated" if low.native is None else ""),
            scopes=low.scopes,
            twin=exact,
            layers=layers,
            native=low.native,
        )
        if refused and report.structure == PROVEN:
            report = replace(report, structure=TWIN_REFUSED).rejudge(report.thresholds)
        yield report


@contextmanager
def _twin(reference: Reference, low: LowGraph, given: Path | None) -> Iterator[Path | None]:
    """Yield the float32 graph that a graph is held to."""
    if given is not None or not low.ours:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / low.path.name
        export_graph(reference.spec, reference.module, path, outputs=reference.outputs, facts={})
        yield path
