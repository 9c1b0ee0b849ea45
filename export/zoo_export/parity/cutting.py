"""Cut a piece out of an ONNX graph: from some values to others, with the weights in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import ExportError
from zoo.preprocess import Array


def load_graph(path: Path) -> Any:  # noqa: ANN401  protobuf has no types
    """Return a file's model, without the weights that lie beside it."""
    import onnx

    return onnx.load(str(path), load_external_data=False)


def cut(model: Any, inputs: Mapping[str, Array], outputs: Sequence[str]) -> Any:  # noqa: ANN401
    """Return the model of a piece of a graph; its nodes are those of the whole.

    Args:
        model: Left as it is.
        inputs: Name of each value that the piece is given, to an array of the type and shape that
            it will have; those that the piece does not need are left out.
        outputs: Names of the values that it gives.

    Raises:
        ExportError: An output needs what is neither given nor a weight.
    """
    from onnx import TensorProto, helper

    graph = model.graph
    nodes = leading_to(graph, outputs, given=set(inputs))
    needed = {name for node in nodes for name in _reads(node)}
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    given = [name for name in inputs if name in needed or name in outputs]
    known = {*given, *(tensor.name for tensor in weights), ""}
    known.update(name for node in nodes for name in node.output)
    missing = sorted(needed - known)
    if missing:
        raise ExportError(f"The piece needs {', '.join(missing)}, which nothing gives.")
    types = {value.name: value for value in (*graph.output, *graph.value_info, *graph.input)}
    piece = helper.make_graph(
        nodes,
        graph.name,
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(inputs[name].dtype), inputs[name].shape
            )
            for name in given
        ],
        [_declared(types.get(name), name, TensorProto.FLOAT) for name in outputs],
        weights,
    )
    return helper.make_model(
        piece, opset_imports=model.opset_import, ir_version=model.ir_version,
        functions=list(model.functions), producer_name=model.producer_name,
    )  # fmt: skip


def rerun(model: Any, folder: Path, feeds: Mapping[str, Array]) -> dict[str, Array]:  # noqa: ANN401
    """Run a model on ONNX Runtime's CPU; weights beside it are looked for in a folder."""
    from zoo_export.parity.onnx_candidate import open_bytes

    session = open_bytes(folder, model.SerializeToString())
    names = [value.name for value in session.get_outputs()]
    wanted = {value.name for value in session.get_inputs()}
    found = session.run(names, {name: feeds[name] for name in wanted})
    return dict(zip(names, found, strict=True))


def save(model: Any, path: Path, weights: Path) -> None:  # noqa: ANN401
    """Write a model as one file where it may be; what lies beside its origin is read in.

    Args:
        model: Its weights may lie in other files.
        path: To be written.
        weights: Folder of those files.
    """
    import onnx
    from onnx.external_data_helper import load_external_data_for_model

    load_external_data_for_model(model, str(weights))
    size = sum(tensor.ByteSize() for tensor in model.graph.initializer)
    onnx.save(model, str(path), save_as_external_data=size > ONE_FILE)


ONE_FILE = 1_900_000_000  # bytes; protocol buffers end at 2 GiB


def leading_to(graph: Any, outputs: Sequence[str], *, given: set[str]) -> list[Any]:  # noqa: ANN401
    """Return the nodes that some values take, in order, where others are given."""
    wanted = set(outputs) - given
    nodes = []
    for node in reversed(graph.node):
        if any(name in wanted for name in node.output):
            nodes.append(node)
            wanted |= set(_reads(node)) - given
    return nodes[::-1]


def _reads(node: Any) -> Iterator[str]:  # noqa: ANN401
    """Yield the names that a node reads, those inside its branches included."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            own = {name for inner in graph.node for name in inner.output}
            own |= {value.name for value in (*graph.input, *graph.initializer)}
            for inner in graph.node:
                yield from (name for name in _reads(inner) if name not in own)


def _declared(value: Any, name: str, otherwise: int) -> Any:  # noqa: ANN401
    """Return an output's declaration without shape: the piece may have another batch."""
    from onnx import helper

    kind = otherwise if value is None else value.type.tensor_type.elem_type or otherwise
    return helper.make_tensor_value_info(name, kind, None)


def float32(array: Array) -> Array:
    """Return an array as a graph would have it."""
    return np.ascontiguousarray(array.astype(np.float32) if array.dtype.kind == "f" else array)
