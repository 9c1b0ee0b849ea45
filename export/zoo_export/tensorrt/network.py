"""From a graph's file to TensorRT's network; what is refused is said of modules. No torch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import ExportError
from zoo.runtime.trt_module import Vendor
from zoo_export.tensorrt.mends import mend_for

SHOWN = 3  # faults of a graph that an error names
_NODE = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
_TYPES = {
    "FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16", "INT64": "int64",
    "INT32": "int32", "INT8": "int8", "UINT8": "uint8", "BOOL": "bool",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A node that the parser refuses.

    Attributes:
        node: Name in the graph.
        operator: What it computes.
        module: Dotted name of the nn.Module that it came from; empty where nobody knows.
        reason: In the parser's words.
    """

    node: str
    operator: str
    module: str
    reason: str

    def __str__(self) -> str:
        place = f"the module {self.module!r}" if self.module else "the network's outermost module"
        mend = mend_for(self.operator, self.reason)
        # the parser's reason may be a bare condition of its source, such as `false`
        words = f" says: {self.reason.rstrip('.')}." if " " in self.reason else " is not supported."
        return f"{self.operator} ({self.node}) of {place}{words}{' ' * bool(mend)}{mend}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer of the network.

    Attributes:
        name: TensorRT's.
        kind: What it computes.
        dtype: Of its first output. Networks are strongly typed: it computes in that.
        node: Of the graph that it was made of; empty for those that the parser adds.
        module: That the node came from; empty where nobody knows.
    """

    name: str
    kind: str
    dtype: str
    node: str
    module: str


def parse(
    vendor: Vendor,
    builder: Any,  # noqa: ANN401  the package has no types
    logger: Any,  # noqa: ANN401
    graph: Path,
    scopes: Mapping[str, str],
) -> Any:  # noqa: ANN401
    """Return the strongly typed network of a graph.

    Args:
        vendor: Whose network.
        builder: Of that package.
        logger: Of that package.
        graph: The file; weights beside it are found.
        scopes: Name of each node to its module.

    Raises:
        ExportError: The parser refuses the graph; names modules and what to do.
    """
    module = vendor.module
    # Since 11 there is no other kind of network and the flag means nothing; 10 needs it.
    flag = getattr(module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = module.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        raise ExportError(refusal(vendor, [_fault(error, scopes) for error in errors]))
    decompose_attention(module, network)
    return network


def _fault(error: Any, scopes: Mapping[str, str]) -> Fault:  # noqa: ANN401
    name = error.node_name()
    return Fault(
        node=name,
        operator=error.node_operator(),
        module=scopes.get(name, ""),
        reason=" ".join(error.desc().split()),
    )


def refusal(vendor: Vendor, faults: Sequence[Fault]) -> str:
    """Return what an error says of the nodes that were refused."""
    more = f" And {len(faults) - SHOWN} more." if len(faults) > SHOWN else ""
    return (
        f"{vendor.title} {vendor.version} does not take the graph. "
        + " ".join(map(str, faults[:SHOWN]))
        + more
    )


def decompose_attention(module: Any, network: Any) -> None:  # noqa: ANN401
    """Let TensorRT take float32 attention apart, for which it has no kernel of one piece.

    Args:
        module: The package.
        network: Changed in place.
    """
    kind = getattr(module.LayerType, "ATTENTION_INPUT", None)
    if kind is None:  # before attention was a layer
        return
    for layer in _layers(network):
        if layer.type == kind and layer.get_input(0).dtype == module.DataType.FLOAT:
            layer.__class__ = module.IAttentionInputLayer
            layer.attention.decomposable = True


def layers_of(network: Any, scopes: Mapping[str, str]) -> tuple[Layer, ...]:  # noqa: ANN401
    """Return the layers of a network, each with the module that it came from.

    Args:
        network: As `parse` gave it.
        scopes: Name of each node to its module.
    """
    found = []
    for layer in _layers(network):
        noted = _NODE.search(layer.metadata or "")
        node = noted[1] if noted else ""
        found.append(
            Layer(
                name=layer.name,
                kind=str(layer.type).rpartition(".")[2],
                dtype=dtype_name(layer.get_output(0).dtype) if layer.num_outputs else "",
                node=node,
                module=scopes.get(node, ""),
            )
        )
    return tuple(found)


def dtype_name(dtype: Any) -> str:  # noqa: ANN401
    """Return our name of a type of TensorRT's."""
    name = str(dtype).rpartition(".")[2]
    return _TYPES.get(name, name.lower())


def per_precision(layers: Sequence[Layer]) -> dict[str, int]:
    """Return the number of layers that compute in each floating-point type."""
    return dict(Counter(layer.dtype for layer in layers if "float" in layer.dtype).most_common())


def _layers(network: Any) -> list[Any]:  # noqa: ANN401
    return [network.get_layer(index) for index in range(network.num_layers)]
