"""Prove a bundle on the machine where it will run: golden inputs, golden outputs. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from zoo.bundle import GOLDEN, Bundle, open_bundle
from zoo.encoder import Encoder
from zoo.errors import BundleError, InputError
from zoo.preprocess import Array
from zoo.runtime import choose_runtime, run_bundle
from zoo.runtime.graph import ArtefactBackend
from zoo.runtime.proof import remember


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One output of one golden batch.

    Attributes:
        case: Index of the batch.
        output: Name of the array, or of an input that was prepared again from raw items.
        error: Relative, against the network in float64; infinite where shapes or ids differ.
        limit: Largest error that passes.
    """

    case: int
    output: str
    error: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the limit."""
        return self.error <= self.limit


def verify(
    path: str | Path,
    *,
    device: str | None = None,
    threads: int | None = None,
    runtime: str | None = None,
) -> list[Check]:
    """Run a bundle's golden batches here and compare.

    An engine that passes is opened without further proof on this machine.

    Args:
        path: The bundle.
        device: As for `zoo.open`.
        threads: As for `zoo.open`.
        runtime: As for `zoo.open`.

    Returns:
        A check an output and batch, and for text one an input that the tokenizer made anew.

    Raises:
        BundleError: It is not whole, has been changed, or was not proven.
        OptionError: The device is not there.
    """
    bundle = open_bundle(path)
    chosen, engine = choose_runtime(bundle, runtime), bundle.manifest.engine
    encoder = run_bundle(bundle, device=device, threads=threads, runtime=runtime, proven=True)
    checks = golden_checks(bundle, encoder)
    if chosen is not None and engine is not None and all(check.passed for check in checks):
        remember(bundle, chosen.identity(engine, device), checks)
    return checks


def golden_checks(bundle: Bundle, encoder: Encoder) -> list[Check]:
    """Run the golden batches of a bundle on its encoder and compare.

    Raises:
        BundleError: It has none.
    """
    golden = _read(bundle)
    facts = bundle.manifest.golden
    checks = []
    for case in range(facts.cases):
        batch = {
            tensor.name: golden[golden_key(case, "in", tensor.name)]
            for tensor in bundle.manifest.facts.inputs
        }
        found = cast(ArtefactBackend, encoder.backend).arrays(batch)
        checks += [
            Check(
                case=case,
                output=name,
                error=relative_error(found[name], golden[golden_key(case, "out", name)]),
                limit=limit,
            )
            for name, limit in facts.limits.items()
        ]
        if facts.texts:
            checks += _prepared_again(encoder, facts.texts[case], batch, case)
    return checks


def relative_error(found: Array, exact: Array) -> float:
    """Return the root mean square of the error over that of what is exact.

    Infinite if shapes differ or a number is not finite; masks count the places that differ.
    """
    if found.shape != exact.shape:
        return float("inf")
    one, other = found.astype(np.float64), exact.astype(np.float64)
    error = float(np.linalg.norm(one - other)) / (float(np.linalg.norm(other)) or 1.0)
    return error if np.isfinite(error) else float("inf")


def golden_key(case: int, side: str, name: str) -> str:
    """Return the name of a tensor in golden.safetensors; `side` is `in` or `out`."""
    return f"{case}.{side}.{name}"


def _prepared_again(
    encoder: Encoder, texts: tuple[str, ...], batch: dict[str, Array], case: int
) -> list[Check]:
    prepared = encoder.preprocessor.prepare(texts)
    again = encoder.preprocessor.collate([s for s in prepared if not isinstance(s, InputError)])
    return [
        Check(
            case=case,
            output=name,
            error=0.0 if np.array_equal(again[name], array) else float("inf"),
            limit=0.0,
        )
        for name, array in batch.items()
    ]


def _read(bundle: Bundle) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = bundle.file(GOLDEN)
    if path is None:
        raise BundleError(f"{bundle.path} has no {GOLDEN} to be verified by.")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
