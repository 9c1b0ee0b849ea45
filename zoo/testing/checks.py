"""Assertions about rows and families; each failure says what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

import zoo
from zoo.encoded import Encoded
from zoo.encoder import Encoder
from zoo.loading import load_row, random_module
from zoo.spec import ModelSpec
from zoo.testing.close import FLOAT32, relative_error, tolerance
from zoo.testing.shrink import example_batch, tiny
from zoo.validation import fact_problems, network_problems

Forward = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


def check_row(row: ModelSpec) -> None:
    """Assert that a row's facts are complete, its network builds, and its tiny version works.

    Raises:
        AssertionError: Says everything that is wrong.
    """
    problems = [*fact_problems(row), *network_problems(row)]
    assert not problems, f"{row.name}: {'; '.join(problems)}"
    small = tiny(row)
    module = random_module(small, dtype=torch.float64)
    batch = example_batch(small, dtype=torch.float64)
    with torch.inference_mode():
        whole = cast(Encoded, module(**batch))
        alone = cast(Encoded, module(**{name: value[1:2] for name, value in batch.items()}))
    if whole.pooled is None:
        return
    shape = tuple(whole.pooled.shape)
    assert shape == (3, small.dim), f"{row.name}: vectors of shape {shape}, not (3, {small.dim})"
    assert alone.pooled is not None
    error = relative_error(whole.pooled[1:2], alone.pooled)
    assert error < tolerance(torch.float64), (
        f"{row.name}: a vector depends on what else is in the batch (relative error {error:.1e})"
    )


def check_family(rows: Sequence[ModelSpec]) -> None:
    """Assert that all rows of a family are sound, and that no two share a name.

    Raises:
        AssertionError: Says what is wrong.
    """
    names = Counter(name for row in rows for name in (row.name, *row.aliases))
    twice = [name for name, count in names.items() if count > 1]
    assert not twice, f"two rows are called {', '.join(twice)}"
    for row in rows:
        check_row(row)


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
        AssertionError: An output differs by more than rounding.
    """
    wanted = forward(example_batch(row, dtype=torch.float64))
    assert wanted, "the reference returned nothing to compare"
    errors = {}
    for dtype in (torch.float64, torch.float32):
        encoder = load_row(row, weights=checkpoint, dtype=dtype)
        with torch.inference_mode():
            found = cast(Encoded, encoder.module(**example_batch(row, dtype=dtype)))
        for name, reference in wanted.items():
            error = relative_error(getattr(found, name), reference)
            assert error < tolerance(dtype), (
                f"{row.name}: {name} in {dtype} is {error:.1e} from the reference; "
                f"{tolerance(dtype):.0e} is rounding"
            )
            errors[f"{name} {str(dtype).removeprefix('torch.')}"] = error
    return errors


def check_export(row: ModelSpec, items: Sequence[Any]) -> None:
    """Assert that the tiny row exports to ONNX, passes the gate, and encodes as eager does.

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
    error = relative_error(graph.encode(items), eager.encode(items))
    assert error < FLOAT32, f"{row.name}: the bundle's vectors differ by {error:.1e}"
