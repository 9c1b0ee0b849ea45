"""Assertions about rows and families; each failure names the row and says what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

import zoo
from zoo.encoded import Encoded
from zoo.encoder import Encoder
from zoo.fitting import Fittable
from zoo.loading import load_module, random_module
from zoo.spec import ModelSpec, OutputName
from zoo.testing.close import FLOAT32, relative_error, tolerance
from zoo.testing.shrink import example_batch, tiny
from zoo.validation import fact_problems, network_problems
from zoo.weights import fetch_weights, local_weights, open_checkpoint

# Inputs by name to outputs by name; a sequence holds the feature maps of a pyramid.
Forward = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor | Sequence[Tensor]]]


def check_row(row: ModelSpec) -> None:
    """Assert that a row's facts are complete, its network builds, and its tiny version works.

    The tiny version runs with random weights in float64: it must return what the row declares, of
    the stated width, and its vectors must depend on their own item and on no other of the batch.
    What is to be fitted before it runs is not run.

    Raises:
        AssertionError: Names the row and says what is wrong.
    """
    problems = [*fact_problems(row), *network_problems(row)]
    assert not problems, f"{row.name}: {'; '.join(problems)}"
    if isinstance(row.config, Fittable) and not row.config.fitted:
        return
    small = tiny(row)
    module = random_module(small, dtype=torch.float64)
    batch = example_batch(small, dtype=torch.float64)
    whole = _run(small, module, batch)
    alone = _run(small, module, {name: value[1:2] for name, value in batch.items()})
    for declared in row.outputs:  # `sparse` is made of the pooled vector
        assert declared == "sparse" or getattr(whole, declared) is not None, (
            f"{row.name}: it declares the output {declared!r}, which its forward does not return"
        )
    for name, ours, single in _pairs(row, whole, alone._asdict()):
        assert len(ours) == 3, f"{row.name}: {name} of three items has shape {tuple(ours.shape)}"
        error = _error(row, name, ours[1:2], single)
        assert error < tolerance(torch.float64), (
            f"{row.name}: {name} of an item depends on what else is in the batch (relative error "
            f"{error:.1e})"
        )
    if whole.pooled is not None:
        _check_vectors(small, whole.pooled)


def check_family(rows: Sequence[ModelSpec]) -> None:
    """Assert that all rows of a family are sound, and that no two share a name.

    Raises:
        AssertionError: Says what is wrong with each of them.
    """
    assert rows, "there are no rows"
    names = Counter(name for row in rows for name in (row.name, *row.aliases))
    twice = [name for name, count in names.items() if count > 1]
    assert not twice, f"two rows are called {', '.join(twice)}"
    failures = []
    for row in rows:
        try:
            check_row(row)
        except AssertionError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    assert not failures, "\n".join(map(str, failures))


def check_reference(row: ModelSpec, checkpoint: Path, forward: Forward) -> dict[str, float]:
    """Assert that a row, loaded from a file that its authors' code wrote, computes what that does.

    Args:
        row: With the numbers of the network that wrote the file.
        checkpoint: File or folder, in the layout in which weights are published.
        forward: The independent implementation, in float64: inputs by name to outputs by name
            (`pooled`, `tokens`, ...). It must not share code with the row's network.

    Returns:
        Relative error by output and dtype, `pooled float64`.

    Raises:
        KeyMapError: The row's key maps do not cover the file; names the keys.
        AssertionError: An output differs by more than rounding.
    """
    wanted = forward(example_batch(row, dtype=torch.float64))
    assert wanted, "the reference returned nothing to compare"
    unknown = sorted(wanted.keys() - set(Encoded._fields))
    assert not unknown, (
        f"the reference returned {', '.join(unknown)}; outputs are called "
        f"{', '.join(Encoded._fields)}"
    )
    errors = {}
    fetched = fetch_weights(local_weights(row.weights, checkpoint))
    opened = open_checkpoint(fetched.weights, fetched.parts)
    for dtype in (torch.float64, torch.float32):
        module = load_module(row, opened, dtype=dtype, device=torch.device("cpu"))
        found = _run(row, module, example_batch(row, dtype=dtype))
        for name, ours, reference in _pairs(row, found, wanted):
            error = _error(row, name, ours, reference)
            assert error < tolerance(dtype), (
                f"{row.name}: {name} in {dtype} is {error:.1e} from the reference; "
                f"{tolerance(dtype):.0e} is rounding"
            )
            errors[f"{name} {str(dtype).removeprefix('torch.')}"] = error
    return errors


def check_export(row: ModelSpec, items: Sequence[Any]) -> None:
    """Assert that the tiny row exports to ONNX, passes the gate, and encodes as eager does.

    The bundle is kept in the cache; the fixture `zoo_cache` gives a test one of its own.

    Args:
        row: Its tiny version is taken, with random weights.
        items: A few raw items: texts, paths of images, arrays.

    Raises:
        ParityError: The graph is not the network.
        AssertionError: The bundle encodes differently.
    """
    small = tiny(row)
    eager = cast(Encoder, zoo.load(small, weights="random"))
    graph = cast(Encoder, zoo.load(small, weights="random", backend="onnx"))
    output: OutputName = "tokens" if row.pooling == "none" else "pooled"
    error = _error(
        row, "encode", *(np.concatenate(list(encoder.encode(items, output=output)))
                         for encoder in (graph, eager))
    )  # fmt: skip
    assert error < FLOAT32, f"{row.name}: the bundle's vectors differ by {error:.1e}"


def _run(row: ModelSpec, module: nn.Module, batch: Mapping[str, Tensor]) -> Encoded:
    try:
        with torch.inference_mode():
            found = module(**batch)
    except Exception as error:  # of the row's own code
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in batch.items())
        raise AssertionError(
            f"{row.name}: its network fails on the inputs {shapes}: {type(error).__name__}: {error}"
        ) from error
    assert isinstance(found, Encoded), (
        f"{row.name}: its forward returns {type(found).__name__}, not zoo.encoded.Encoded"
    )
    return found


def _pairs(
    row: ModelSpec, found: Encoded, wanted: Mapping[str, Tensor | Sequence[Tensor] | None]
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield name, what was found and what was wanted of each output, and of each feature map."""
    for name, reference in wanted.items():
        ours = getattr(found, name)
        if reference is None:
            continue
        assert ours is not None, f"{row.name}: its forward returns no {name}"
        if isinstance(reference, Tensor):
            yield name, ours, reference
            continue
        counts = len(ours), len(reference)
        assert counts[0] == counts[1], (
            f"{row.name}: {name} has {counts[0]} maps, the reference {counts[1]}"
        )
        for level, (one, other) in enumerate(zip(ours, reference, strict=True)):
            yield f"{name}[{level}]", one, other


def _error(row: ModelSpec, name: str, ours: Any, reference: Any) -> float:  # noqa: ANN401  arrays too
    try:
        return relative_error(ours, reference)
    except AssertionError as error:
        raise AssertionError(f"{row.name}: {name}: {error}") from None


def _check_vectors(row: ModelSpec, pooled: Tensor) -> None:
    """Assert that vectors are of the stated width and length, and not all the same."""
    shape = tuple(pooled.shape)
    assert shape == (3, row.dim), f"{row.name}: vectors of shape {shape}, not (3, {row.dim})"
    if row.normalize:
        lengths = pooled.norm(dim=-1)
        assert torch.allclose(lengths, torch.ones_like(lengths)), (
            f"{row.name}: its config says `normalize`; its vectors have lengths {lengths.tolist()}"
        )
    error = _error(row, "pooled", pooled[:1], pooled[1:2])
    assert error > tolerance(torch.float64), (
        f"{row.name}: two different items have the same vector; does the network use its inputs?"
    )
