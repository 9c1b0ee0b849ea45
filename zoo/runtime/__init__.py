"""Run a bundle: numpy, a tokenizer or Pillow, and the runtime; neither torch nor any plugin."""

from __future__ import annotations

from pathlib import Path

from zoo.bundle import MODEL, TOKENIZER, Bundle, open_bundle
from zoo.encoder import Encoder
from zoo.preprocess import preprocessor_for
from zoo.runtime.onnx import OnnxBackend, open_session


def open_encoder(path: str | Path, *, device: str = "cpu", threads: int | None = None) -> Encoder:
    """Open a bundle as an encoder.

    Args:
        path: Its folder.
        device: `cpu`, `cuda` or `cuda:1`.
        threads: Of the processor; by default one a core.

    Raises:
        BundleError: It is not whole, has been changed, or was not proven.
        OptionError: The device is not there.
        MissingExtraError: onnxruntime is not installed.
    """
    return run_bundle(open_bundle(path), device=device, threads=threads)


def run_bundle(bundle: Bundle, *, device: str = "cpu", threads: int | None = None) -> Encoder:
    """Return the encoder of a bundle that is open; see `open_encoder`."""
    facts = bundle.manifest.facts
    session = open_session(bundle.path / MODEL, device=device, threads=threads)
    return Encoder(
        facts,
        preprocessor=preprocessor_for(facts, bundle.file(TOKENIZER)),
        backend=OnnxBackend(session, facts, bundle.manifest.graph, device=device),
        revision=bundle.manifest.weights.revision,
    )
