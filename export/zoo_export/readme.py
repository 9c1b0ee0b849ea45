"""The page that lies in a bundle. No torch."""

from __future__ import annotations

from zoo.manifest import Manifest
from zoo.spec import Dim, ModelSpec, TensorSpec

_ENGINE = """
Beside the graph lies an engine for {engine.target} {engine.version} ({engine.file}), which
`zoo.open` runs; `zoo.open(path, runtime="onnx")` runs the graph itself.
{line}
"""


def readme(row: ModelSpec, manifest: Manifest) -> str:
    """Return Markdown: what it is, how to run and prove it, what it takes and gives."""
    facts, graph, origin = manifest.facts, manifest.graph, manifest.weights
    item = '"some text"' if facts.modality == "text" else '"photo.jpg"'
    inputs = "\n".join(f"- `{tensor.name}` {tensor.dtype} ({_shape(tensor)})"
                       for tensor in facts.inputs)  # fmt: skip
    commit = f" at {origin.revision}" if origin.revision else ""
    engine = manifest.engine
    beside = "" if engine is None else _ENGINE.format(engine=engine, line=engine.verdict.line)
    return f"""# {facts.name}, ONNX, {graph.dtype}

{row.family.title} ({row.year}). Licence of the weights: {facts.license}.
Weights: {origin.source}{commit}.

```python
import zoo

encoder = zoo.open("path/of/this/folder")
vector = encoder.encode({item})  # ({facts.dim},)
```

Needs `python -m pip install "encoder-zoo[cpu]"`, and no torch.
`zoo verify path/of/this/folder` proves it on another machine.

Inputs, with the sizes that it was proven on:

{inputs}

Outputs: {", ".join(f"`{name}`" for name in graph.outputs)}; operators of opset {graph.opset}.

{manifest.verdict.line}
{beside}"""


def _shape(tensor: TensorSpec) -> str:
    return ", ".join(_axis(size) if isinstance(size, Dim) else str(size) for size in tensor.shape)


def _axis(dim: Dim) -> str:
    return f"{dim.name} {dim.min}..{dim.max}" if dim.min != dim.max else f"{dim.name} {dim.min}"
