"""From a network to an ONNX graph: torch.export and the exporter built on it."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zoo.errors import ExportError
from zoo.spec import ModelSpec
from zoo_export import graph
from zoo_export.attention import WRITTEN_OUT, plain_attention
from zoo_export.binding import fixed_axes
from zoo_export.calls import PlainCalls
from zoo_export.optimise import optimise
from zoo_export.provenance import OPSET
from zoo_export.streamed import Read, on_demand
from zoo_export.tracing import Wrapped, dynamic_shapes, example_inputs, input_names

_ROOT = "net"  # of the network inside Wrapped
_CHATTY = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A graph in a file.

    Attributes:
        path: The file.
        nodes: Number of operators.
        scopes: Name of each node to the module that it came from.
    """

    path: Path
    nodes: int
    scopes: Mapping[str, str]


def export_graph(
    row: ModelSpec,
    module: nn.Module,
    path: Path,
    *,
    outputs: tuple[str, ...],
    facts: Mapping[str, str],
    read: Read | None = None,
) -> Exported:
    """Write the graph of a network.

    Args:
        row: The row, bound to the shapes that are wanted.
        module: Its network in float32, in evaluation mode; it is left as it is.
        path: File to write.
        outputs: Names of the arrays that the graph gives.
        facts: Put into the file, for people.
        read: Gives the tensors of a network that is on the meta device.

    Raises:
        ExportError: The network cannot be traced at these shapes, or the graph is not sound.
    """
    fixed = fixed_axes(row)
    names = input_names(row.inputs)
    wrapped = Wrapped(module, names, outputs).eval()
    forms = _vectors_alone(module, outputs)
    device = "cpu" if read is None else "meta"
    example = tuple(tensor.to(device) for tensor in example_inputs(row, fixed).values())
    with (
        quiet(),
        plain_attention(wrapped) as replaced,
        PlainCalls(),
        forms,
        torch.no_grad(),
    ):
        try:
            program = torch.onnx.export(
                wrapped,
                example,
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=(dynamic_shapes(row, fixed),),
                input_names=names,
                output_names=list(outputs),
                custom_translation_table=WRITTEN_OUT,
                optimize=False,  # see zoo_export.optimise
                verbose=False,
            )
        except Exception as error:  # torch.export raises many kinds, some of them private
            raise ExportError(_explain(row, error)) from error
    assert program is not None, "the exporter returns a program when it is given no file"
    model: Any = program.model
    found = model.opset_imports.get("")
    if found != OPSET:
        raise ExportError(f"The exporter wrote opset {found} in place of {OPSET}. Report this.")
    if read is not None:
        on_demand(model, _ROOT, replaced, read)
    optimise(model)
    modules = {name for name, _ in module.named_modules()}
    scopes = graph.module_scopes(model, _ROOT, modules)
    graph.sign(model, row.name, facts)
    graph.save(model, path)
    return Exported(path=path, nodes=len(model.graph), scopes=scopes)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporter's own remarks away: they are about its insides, not about the user's."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _vectors_alone(module: nn.Module, outputs: tuple[str, ...]) -> Iterator[None]:
    """Let a network that can leave out what only tokens need do so, if no tokens are wanted."""
    before = getattr(module, "pooled_only", None)
    if before is None or outputs != ("pooled",):
        yield
        return
    module.pooled_only = True  # type: ignore[assignment]  # a plain attribute, as in zoo.backends
    try:
        yield
    finally:
        module.pooled_only = before


def _explain(row: ModelSpec, error: Exception) -> str:
    """Return why a network could not be traced, in one sentence."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    first = next(iter(str(cause).strip().splitlines()), "")
    return f"{row.name} cannot be exported: {type(cause).__name__}: {first}"
