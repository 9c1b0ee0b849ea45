"""An ONNX file as a candidate, whoever made it, on ONNX Runtime."""

from __future__ import annotations

import ast
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import MissingExtraError, OptionError
from zoo.preprocess import Array, Preprocessor
from zoo.runtime.onnx import open_session
from zoo_export.parity.cutting import load_graph
from zoo_export.parity.taps import Boundary, Values

# Where torch's exporter notes the modules that a node comes from, outermost first.
SCOPES = "pkg.torch.onnx.name_scopes"
EXTERNAL_DATA = "session.model_external_initializers_file_folder_path"
QUIET = 3  # errors alone: warnings about initialisers that shape nothing are no user's business


class OnnxCandidate:
    """A graph on a device.

    Args:
        path: The file.
        scopes: Name of a node to the module that it comes from, where the file does not say.
        preprocessor: That the artefact prepares raw items with, if it has one.
        device: `cpu`, `cuda` or `cuda:1`.

    Attributes:
        inputs: Names.
        outputs: Names.
        shapes: Input's name to sizes; a word where the axis is dynamic.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        OptionError: It is no graph that ONNX Runtime can run.
    """

    def __init__(
        self,
        path: Path,
        *,
        scopes: Mapping[str, str] | None = None,
        preprocessor: Preprocessor | None = None,
        device: str = "cpu",
    ) -> None:
        self.path = path
        self.preprocessor = preprocessor
        self._scopes = scopes
        # what runs elsewhere is opened by the runtime, which checks that all of it runs there
        self._session = (
            _session(path, str(path)) if device == "cpu" else open_session(path, device=device)
        )
        self.shapes = {value.name: tuple(value.shape) for value in self._session.get_inputs()}
        self.inputs = tuple(self.shapes)
        self.outputs = tuple(value.name for value in self._session.get_outputs())

    def run(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Run a batch; inputs that the graph does not have are left out."""
        return _run(self._session, self.outputs, self._feeds(batch))

    def taps(self, batch: dict[str, Array], shapes: Mapping[Boundary, tuple[int, ...]]) -> Values:
        """Run once with the values that cross the boundaries of modules as further outputs."""
        crossing = self.crossings(shapes)
        wanted = list(dict.fromkeys(name for names in crossing.values() for name in names))
        if not wanted:
            return {}  # neither the file nor anyone else says where its nodes come from
        values = self.values(wanted, batch)
        found = {}
        for boundary, names in crossing.items():
            name = fitting(names, values, shapes[boundary])
            if name:
                found[boundary] = values[name].reshape(shapes[boundary])
        return found

    def crossings(self, shapes: Mapping[Boundary, tuple[int, ...]]) -> dict[Boundary, list[str]]:
        """Return the names of the values that cross boundaries of modules."""
        graph = load_graph(self.path).graph
        return crossings(graph, self._scopes or node_scopes(graph), shapes)

    def homes(self, modules: Collection[str]) -> dict[str, str]:
        """Return the name of each node to the module that it comes from, as far as is known."""
        scopes = self._scopes or node_scopes(load_graph(self.path).graph)
        prefix = _wrapper(scopes.values(), set(modules))
        return {name: scope.removeprefix(prefix) for name, scope in scopes.items()}

    def values(self, names: Sequence[str], batch: Mapping[str, Array]) -> dict[str, Array]:
        """Run once with values from inside the graph as its outputs."""
        import onnx

        model = load_graph(self.path)
        feeds = self._feeds(batch)
        inside = [name for name in names if name not in feeds]
        there = {value.name for value in model.graph.output}
        model.graph.output.extend(
            onnx.helper.make_empty_tensor_value_info(name) for name in inside if name not in there
        )
        session = _session(self.path, model.SerializeToString(), self._session.get_providers())
        return {**feeds, **_run(session, inside, feeds)}

    def _feeds(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        missing = [name for name in self.inputs if name not in batch]
        if missing:
            raise OptionError(
                f"{self.path.name} wants {', '.join(missing)}; the model has {', '.join(batch)}."
            )
        return {name: np.ascontiguousarray(batch[name]) for name in self.inputs}


def fitting(names: Sequence[str], values: Mapping[str, Array], shape: tuple[int, ...]) -> str:
    """Return the one value that passes a boundary, or nothing where nobody can say which it is.

    It has the boundary's shape, or all its rows in one axis, as matrix products like them, or its
    last axis in two, as attention does: the same numbers in the same order.
    """
    for fits in (_same, _rows, _split):
        fit = [name for name in names
               if values[name].dtype.kind == "f" and fits(values[name].shape, shape)]  # fmt: skip
        if fit:
            return fit[0] if len(fit) == 1 else ""
    return ""


def _same(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return shape == wanted


def _rows(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return bool(wanted) and shape == (math.prod(wanted[:-1]), wanted[-1])


def _split(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    if len(shape) != len(wanted) + 1 or shape[:-2] != wanted[:-1]:
        return False
    # with two axes of one size nobody can say which of them is which
    return shape[-1] * shape[-2] == wanted[-1] and len({*shape[1:]}) == len(shape[1:])


def node_scopes(graph: Any) -> dict[str, str]:  # noqa: ANN401  protobuf has no types
    """Return the name of each node to its module, as torch's exporter noted it in the file."""
    scopes = {}
    for node in graph.node:
        noted = {entry.key: entry.value for entry in node.metadata_props}.get(SCOPES)
        words = ast.literal_eval(noted) if noted else []
        if len(words) > 1:
            scopes[node.name] = words[-2]
    return scopes


def crossings(
    graph: Any,  # noqa: ANN401
    scopes: Mapping[str, str],
    shapes: Mapping[Boundary, tuple[int, ...]],
) -> dict[Boundary, list[str]]:
    """Return the names of the values that enter or leave each module.

    Args:
        graph: The graph.
        scopes: Node's name to module; names may begin with that of a wrapper.
        shapes: The boundaries that are asked for.
    """
    prefix = _wrapper(scopes.values(), {boundary.module for boundary in shapes})
    home = {name: scope.removeprefix(prefix) for name, scope in scopes.items()}
    constants = {value.name for value in graph.initializer}
    maker: dict[str, str] = {value.name: "" for value in graph.input}
    users: dict[str, list[str]] = {value.name: [""] for value in graph.output}
    for node in graph.node:
        place = home.get(node.name, "")
        if node.op_type == "Constant":
            constants.update(node.output)
        maker.update(dict.fromkeys(node.output, place))
        for name in node.input:
            users.setdefault(name, []).append(place)
    crossing: dict[Boundary, list[str]] = {boundary: [] for boundary in shapes}
    for name, place in maker.items():
        if name in constants or not name:
            continue
        for user in users.get(name, []):
            for module in _around(place):
                if not _inside(user, module):
                    _append(crossing, Boundary(module, "out"), name)
            for module in _around(user):
                if not _inside(place, module):
                    _append(crossing, Boundary(module, "in"), name)
    return crossing


def _append(crossing: dict[Boundary, list[str]], boundary: Boundary, name: str) -> None:
    names = crossing.get(boundary)
    if names is not None and name not in names:
        names.append(name)


def _around(place: str) -> list[str]:
    """Return a module and all modules around it: `a.b.c`, `a.b`, `a`."""
    words = place.split(".") if place else []
    return [".".join(words[:count]) for count in range(len(words), 0, -1)]


def _inside(place: str, module: str) -> bool:
    return place == module or place.startswith(f"{module}.")


def _wrapper(scopes: Any, modules: set[str]) -> str:  # noqa: ANN401
    """Return what scopes have before the names of modules: nothing, or the name of a wrapper."""
    first = {scope.partition(".")[0] for scope in scopes if scope}
    counts = {"": sum(scope in modules for scope in scopes)}
    for name in first:
        counts[f"{name}."] = sum(scope.removeprefix(f"{name}.") in modules for scope in scopes)
    return max(counts, key=lambda prefix: counts[prefix])


def open_bytes(folder: Path, model: bytes) -> Any:  # noqa: ANN401  onnxruntime has no types
    """Return a session on the CPU of a model in memory, whose weights may lie in a folder."""
    return _session(folder / "model", model)


def _session(
    path: Path, source: str | bytes, providers: Sequence[str] = ("CPUExecutionProvider",)
) -> Any:  # noqa: ANN401  onnxruntime has no types
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingExtraError("onnxruntime", extra="cpu") from error
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = QUIET
    if isinstance(source, bytes):
        options.add_session_config_entry(EXTERNAL_DATA, str(path.parent))
    try:
        return onnxruntime.InferenceSession(source, options, providers=list(providers))
    except Exception as error:  # onnxruntime's own exceptions share no public base
        raise OptionError(f"ONNX Runtime cannot run {path}: {error}") from error


def _run(session: Any, names: Any, feeds: Mapping[str, Array]) -> dict[str, Array]:  # noqa: ANN401
    return dict(zip(names, session.run(list(names), dict(feeds)), strict=True))
