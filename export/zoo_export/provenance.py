"""What a graph is made of and with. No torch."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from zoo import weights as files
from zoo.errors import MissingExtraError
from zoo.manifest import Origin
from zoo.sources import RANDOM
from zoo.spec import ModelSpec

# The first at which a bfloat16 convolution is valid, so that graphs of every precision have the
# same operators; as fast as 20 on ONNX Runtime, measured (docs/export.md). From 23 on there is an
# Attention operator, which runtimes do not take with every mask and precision yet.
OPSET = 22

# Package to the extra that brings it.
_PACKAGES = {
    "encoder-zoo": "",
    "torch": "torch",
    "onnx": "export",
    "onnxscript": "export",
    "onnxruntime": "cpu",
    "numpy": "",
}


def origin_of(row: ModelSpec, weights: str | Path | None, seed: int) -> Origin:
    """Return whose weights a row is exported with; names of this machine's folders stay here.

    Raises:
        WeightsError: They cannot be fetched or verified.
    """
    if not row.params:
        return Origin(source="none")
    if str(weights) == RANDOM:
        return Origin(source=f"{RANDOM}, seed {seed}")
    spec = row.weights
    if weights is not None:
        spec = files.local_weights(spec, Path(weights))
    fetched = files.fetch_weights(spec)
    known = spec.source.startswith(("hf:", "https:", "package:"))
    return Origin(
        source=spec.source if known else "local files",
        revision=fetched.revision,
        sha256=dict(fetched.sha256),
    )


def toolchain() -> dict[str, str]:
    """Return what exports and proves: package to version.

    Raises:
        MissingExtraError: One of them is not installed.
    """
    versions = {}
    for package, extra in _PACKAGES.items():
        try:
            versions[package] = version(package)
        except PackageNotFoundError as error:
            raise MissingExtraError(package, extra=extra) from error
    return versions
