"""The oracle gives the same numbers whole and block by block, and the latter takes less memory."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import nn

from tests.tiny_rows import distinct_rows, tiny_row
from zoo.encoded import Encoded
from zoo.loading import random_module
from zoo_export.outputs import named_outputs
from zoo_export.parity import double
from zoo_export.parity.double import in_float64, memory_short
from zoo_export.tracing import example_inputs


def held(module: nn.Module) -> int:
    """Return the bytes of a module's tensors."""
    tensors = {id(t): t for t in (*module.parameters(), *module.buffers())}
    return sum(tensor.nbytes for tensor in tensors.values())


@pytest.mark.parametrize("name", [row.name for row in distinct_rows()])
def test_block_by_block_it_gives_the_same_numbers(name: str) -> None:
    row = tiny_row(name)
    module = random_module(row)
    inputs = {
        key: value.double() if value.is_floating_point() else value
        for key, value in example_inputs(row, {}).items()
    }

    with torch.inference_mode():
        wanted = named_outputs(cast(Encoded, in_float64(module)(**inputs)))
        narrow = in_float64(module, whole=0)
        found = named_outputs(cast(Encoded, narrow(**inputs)))

    assert found.keys() == wanted.keys()
    for output, value in found.items():
        assert value.dtype == wanted[output].dtype
        assert torch.equal(value, wanted[output])


def test_between_runs_the_blocks_share_the_networks_tensors() -> None:
    module = random_module(tiny_row("vit-b16"))
    narrow = in_float64(module, whole=0)
    assert held(narrow) < 1.5 * held(module) < held(in_float64(module))
    shared = {value.data_ptr() for value in module.parameters()}
    assert {value.data_ptr() for value in narrow.get_submodule("blocks").parameters()} <= shared


class Failing(nn.Linear):
    """Fails where it is told to."""

    fail = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.fail:
            raise RuntimeError("no")
        return super().forward(x)


class Tied(nn.Module):
    """A weight that stands in a block and beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Failing(3, 3), nn.Linear(3, 3)])
        self.head = nn.Linear(3, 3)
        self.head.weight = cast(nn.Linear, self.blocks[1]).weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        out: torch.Tensor = self.head(x)
        return out


def test_a_weight_tied_into_a_block_is_in_float64_outside_too() -> None:
    module = Tied()
    x = torch.randn(2, 3, dtype=torch.float64)
    with torch.inference_mode():
        assert torch.equal(in_float64(module, whole=0)(x), in_float64(module)(x))


def test_a_block_that_fails_is_put_back() -> None:
    narrow = in_float64(Tied(), whole=0)
    block = narrow.get_submodule("blocks.0")
    assert isinstance(block, Failing)
    block.fail = True
    with pytest.raises(RuntimeError, match="no"):
        narrow(torch.randn(2, 3, dtype=torch.float64))
    assert block.weight.dtype == torch.float32


def test_memory_is_that_of_the_copy_that_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    module = random_module(tiny_row("vit-b16"))
    room = held(module)  # for the network once
    monkeypatch.setattr(double, "free_memory", lambda: room)
    assert "GB are free" in memory_short(module, 1.5)
    assert memory_short(module, 1.5, whole=0) == ""
    assert "beside" in memory_short(module, 1.5, whole=0, beside=room)
