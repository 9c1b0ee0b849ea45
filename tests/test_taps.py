"""What passes the boundaries of modules is kept as it was, and once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zoo_export.parity.taps import Boundary, tracing


class WritesOver(nn.Module):
    """A block as older networks have it: activation and sum are computed in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.act = nn.ReLU(inplace=True)
        self.second = nn.Linear(4, 4)
        self.last = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output for x (B, 4)."""
        y = self.second(self.act(self.first(x)))
        y += x
        y[:, 0] = 7.0
        return self.last(y)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_numbers_that_are_written_over_later_are_kept_as_they_were(dtype: torch.dtype) -> None:
    net, x = WritesOver().to(dtype), torch.randn(3, 4, dtype=dtype)
    with tracing(net) as trace:
        net(x)
    with torch.no_grad():
        first = net.first(x)
        second = net.second(first.relu())
        last = second + x
    last[:, 0] = 7.0

    expected = {
        Boundary("first", "in"): x,
        Boundary("first", "out"): first,
        Boundary("act", "in"): first,
        Boundary("act", "out"): first.relu(),
        Boundary("second", "in"): first.relu(),
        Boundary("second", "out"): second,
        Boundary("last", "in"): last,
        Boundary("last", "out"): last,
    }
    assert list(trace.values) == list(expected)
    for boundary, value in expected.items():
        np.testing.assert_array_equal(trace.values[boundary], value.numpy(), err_msg=str(boundary))


def test_numbers_that_pass_several_boundaries_are_kept_once() -> None:
    net = nn.Sequential(nn.Sequential(nn.Linear(4, 4)), nn.Linear(4, 4), nn.ReLU(inplace=True))
    with tracing(net) as trace:
        net(100 * torch.cat([torch.eye(4), -torch.eye(4)]))  # numbers of both signs come out

    inner, outer, then = (Boundary("0.0", "out"), Boundary("0", "out"), Boundary("1", "in"))
    assert np.shares_memory(trace.values[inner], trace.values[outer])
    assert np.shares_memory(trace.values[outer], trace.values[then])
    one, other = Boundary("1", "out"), Boundary("2", "in")  # before they are written over
    assert np.shares_memory(trace.values[one], trace.values[other])
    assert trace.values[one].min() < 0 <= trace.values[Boundary("2", "out")].min()
    assert trace.values[then].dtype == np.float32


def test_halves_are_kept_as_float32() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True)).bfloat16()
    with tracing(net) as trace:
        net(torch.randn(3, 4, dtype=torch.bfloat16))

    assert {value.dtype for value in trace.values.values()} == {np.dtype(np.float32)}
    assert trace.values[Boundary("0", "out")].min() < 0
