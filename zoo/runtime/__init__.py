"""Run a bundle: numpy, a tokenizer or Pillow, and the runtime; neither torch nor any plugin."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.bundle import TOKENIZER, Bundle, open_bundle, opening_bundle
from zoo.encoder import Encoder
from zoo.errors import BundleError, OptionError
from zoo.preprocess import preprocessor_for
from zoo.runtime.onnx import onnx_backend
from zoo.targets import ONNX, ONNX_TENSORRT, Runtime, runtime_of

if TYPE_CHECKING:
    from zoo.runtime.graph import ArtefactBackend


def open_encoder(
    path: str | Path,
    *,
    device: str | None = None,
    threads: int | None = None,
    runtime: str | None = None,
    rebuild: bool = False,
    tf32: bool = False,
) -> Encoder:
    """Open a bundle as an encoder; arguments and errors are those of `zoo.open`."""
    run = partial(
        run_bundle,
        device=device,
        threads=threads,
        runtime=runtime,
        tf32=tf32,
        reopen=partial(
            open_encoder,
            Path(path).expanduser().absolute(),
            device=device,
            threads=threads,
            runtime=runtime,
            rebuild=rebuild,
            tf32=tf32,
        ),
    )
    if rebuild:
        from zoo.runtime.rebuild import rebuilt

        return run(rebuilt(open_bundle(path), device))
    with opening_bundle(path) as bundle:
        # a graph is data and may be read while it is hashed; an engine is code and has to wait
        if choose_runtime(bundle, runtime) is None:
            return run(bundle)
    return run(bundle)


def run_bundle(
    bundle: Bundle,
    *,
    device: str | None = None,
    threads: int | None = None,
    runtime: str | None = None,
    proven: bool = False,
    tf32: bool = False,
    reopen: Callable[[], Encoder] | None = None,
) -> Encoder:
    """Return the encoder of a bundle that is open.

    Args:
        bundle: That is open.
        device: As for `zoo.open`.
        threads: As for `zoo.open`.
        runtime: As for `zoo.open`.
        proven: Whether no proof is asked of an engine: for the code that makes the proof.
        tf32: As for `zoo.open`.
        reopen: Opens it again, for a copy of the encoder.
    """
    engine = bundle.manifest.engine
    chosen = choose_runtime(bundle, runtime)
    if chosen is None or engine is None:
        tensorrt = runtime == ONNX_TENSORRT
        return _encoder(
            bundle,
            onnx_backend(
                bundle,
                device=device or ("cuda" if tensorrt else "cpu"),
                threads=threads,
                tf32=tf32,
                tensorrt=tensorrt,
            ),
            reopen,
        )
    encoder = _encoder(bundle, chosen.open(bundle, device=device, threads=threads), reopen)
    if engine.verdict.outcome == "deferred" and not proven:
        from zoo.runtime.proof import prove

        prove(bundle, encoder, chosen.identity(engine, device))
    return encoder


def choose_runtime(bundle: Bundle, name: str | None) -> Runtime | None:
    """Return what runs a bundle's engine, None for ONNX Runtime.

    Args:
        bundle: That is open.
        name: What was asked for; None for the bundle's engine, if it has one.

    Raises:
        OptionError: The bundle has nothing for that runtime, or nothing installed runs its engine.
        BundleError: The engine was refused.
    """
    engine = bundle.manifest.engine
    if name in (ONNX, ONNX_TENSORRT) or (name is None and engine is None):
        return None
    if engine is None or name not in (None, engine.target):
        there = ONNX if engine is None else f"{engine.target} and {ONNX}"
        raise OptionError(f"{bundle.path} has nothing for {name!r}; it runs on {there}.")
    if engine.verdict.outcome == "refused":
        raise BundleError(f"The engine of {bundle.path} was refused: {engine.verdict.line}.")
    return runtime_of(engine.target)


def _encoder(
    bundle: Bundle, backend: ArtefactBackend, reopen: Callable[[], Encoder] | None
) -> Encoder:
    facts = bundle.manifest.facts
    return Encoder(
        facts,
        preprocessor=preprocessor_for(facts, bundle.file(TOKENIZER)),
        backend=backend,
        revision=bundle.manifest.weights.revision,
        reopen=reopen,
    )
