"""An ONNX file as a candidate, whoever made it: run on ONNX Runtime's CPU provider."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import MissingExtraError, OptionError
from zoo.preprocess import Array, Preprocessor
from zoo_export.parity.taps import Boundary, Values

# Where torch's exporter notes the modules that a node comes from, outermost first.
SCOPES = "pkg.torch.onnx.name_scopes"
EXTERNAL_DATA = "session.model_external_initializers_file_folder_path"
QUIET = 3  # errors alone: warnings about initialisers that shape nothing are no user's business


class OnnxCandidate:
    """A graph on the CPU.

    Args:
        path: The file.
        scopes: Name of a node to the module that it comes from, where the file does not say.
        preprocessor: That the artefact prepares raw items with, if it has one.

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
    ) -> None:
        self.path = path
        self.preprocessor = preprocessor
        self._scopes = scopes
        self._session = _session(path, str(path))
        self.shapes = {value.name: tuple(value.shape) for value in self._session.get_inputs()}
        self.inputs = tuple(self.shapes)
        self.outputs = tuple(value.name for value in self._session.get_outputs())

    def run(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """Run a batch; inputs that the graph does not have are left out."""
        return _run(self._session, self.outputs, self._feeds(batch))

    def taps(self, batch: dict[str, Array], shapes: Mapping[Boundary, tuple[int, ...]]) -> Values:
        """Run once with the values that cross the boundaries of modules as further outputs."""
        import onnx

        model = onnx.load(str(self.path), load_external_data=False)
        crossing = crossings(model.graph, self._scopes or node_scopes(model.graph), shapes)
        wanted = dict.fromkeys(name for names in crossing.values() for name in names)
        there = {value.name for value in (*model.graph.output, *model.graph.input)}
        model.graph.output.extend(
            onnx.helper.make_empty_tensor_value_info(name) for name in wanted if name not in there
        )
        if not wanted:
            return {}  # neither the file nor anyone else says where its nodes come from
        feeds = self._feeds(batch)
        session = _session(self.path, model.SerializeToString())
        inside = [name for name in wanted if name not in feeds]
        values = {**feeds, **_run(session, inside, feeds)}
        found = {}
        for boundary, names in crossing.items():
            fitting = [
                values[name]
                for name in names
                if values[name].dtype.kind == "f" and values[name].shape == shapes[boundary]
            ]
            if len(fitting) == 1:  # of two that fit, nobody can say which is meant
                found[boundary] = fitting[0].astype(np.float64)
        return found

    def _feeds(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        missing = [name for name in self.inputs if name not in batch]
        if missing:
            raise OptionError(
                f"{self.path.name} wants {', '.join(missing)}; the model has {', '.join(batch)}."
            )
        return {name: np.ascontiguousarray(batch[name]) for name in self.inputs}


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


def _session(path: Path, source: str | bytes) -> Any:  # noqa: ANN401  onnxruntime has no types
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
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no public base
        raise OptionError(f"ONNX Runtime cannot run {path}: {error}") from error


def _run(session: Any, names: Any, feeds: Mapping[str, Array]) -> dict[str, Array]:  # noqa: ANN401
    return dict(zip(names, session.run(list(names), dict(feeds)), strict=True))
