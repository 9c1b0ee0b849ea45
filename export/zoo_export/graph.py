"""Tidy a graph: no trace of this machine in it, modules kept apart, sound by ONNX's own checker."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import __version__
from zoo.errors import ExportError, OptionError

if TYPE_CHECKING:
    import onnx_ir as ir

SCOPES_KEY = "pkg.torch.onnx.name_scopes"
# Protocol buffers end at 2 GiB, and long before that weights are better off beside the graph: they
# are mapped into memory in place of being parsed. ONNX Runtime opens MiniLM's 90 MB in 64 ms of
# processor time, in place of 153; an export holds no copies of them.
ONE_FILE = 10_000_000  # bytes of weights
PAGE = 4096  # bytes; what is mapped begins with one
DATA_SUFFIX = ".data"


def module_scopes(model: ir.Model, root: str, modules: Collection[str]) -> dict[str, str]:
    """Return the name of each node to the module that it came from, where it came from one.

    Args:
        model: As the exporter left it.
        root: Name of the network inside what was traced.
        modules: Names of the network's modules.
    """
    scopes = {}
    for node in model.graph:
        words = ast.literal_eval(node.metadata_props.get(SCOPES_KEY, "[]"))
        if len(words) > 1:
            assert node.name is not None, "optimise has named all nodes"
            module = words[-2].removeprefix(root).removeprefix(".")
            if module in modules:
                scopes[node.name] = module
    return scopes


def sign(model: ir.Model, name: str, facts: Mapping[str, str]) -> None:
    """Strip what the exporter wrote down of this machine, and say what the graph is.

    Args:
        model: Changed in place.
        name: Of the graph.
        facts: Put into the file, for people.
    """
    model.producer_name, model.producer_version = "encoder-zoo", __version__
    model.doc_string = model.graph.doc_string = None
    model.graph.name = name
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    for node in model.graph:
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
        value.doc_string = None
    model.metadata_props.update(facts)


def save(model: ir.Model, path: Path) -> None:
    """Write a graph, with its weights beside it where they are too large for one file.

    Raises:
        ExportError: ONNX's checker refuses it.
    """
    write(model, path)
    refused = fault(path)
    if refused:
        raise ExportError(f"ONNX's checker refuses the graph of {model.graph.name}: {refused}")


def fault(path: Path) -> str:
    """Return what ONNX's checker and type inference have against a graph, or nothing."""
    import onnx

    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # the checker's exceptions come from several libraries
        return str(error)
    return ""


def read(path: Path) -> ir.Model:
    """Read a graph, whoever wrote it; every value has a type.

    Raises:
        OptionError: It is no ONNX file, or not a whole one.
    """
    import onnx_ir as ir
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # has no types
    from onnx_ir.passes import common

    try:
        model = ir.load(path)
    except (DecodeError, ValueError) as error:
        raise OptionError(f"{path} is no ONNX file, or not a whole one: {error}.") from error
    if not model.graph.outputs:
        raise OptionError(f"{path} is no ONNX file: it has no outputs.")
    if any(value.dtype is None for node in model.graph for value in node.outputs):
        common.ShapeInferencePass()(model)
    return model


def write(model: ir.Model, path: Path) -> None:
    """Write a graph that nobody has checked, for a moment's use."""
    import onnx_ir as ir

    size = sum(
        value.const_value.nbytes
        for value in model.graph.initializers.values()
        if value.const_value is not None
    )
    data = path.name + DATA_SUFFIX if size > ONE_FILE else None
    ir.save(model, path, external_data=data, alignment=PAGE)
