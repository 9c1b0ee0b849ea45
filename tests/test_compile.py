"""torch.compile as a backend: the same numbers, few builds, and a sentence where it cannot."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

import zoo
from tests.bundle_tools import items_of
from tests.reference import FLOAT32, relative_error
from tests.tiny_rows import tiny_row
from zoo.backends.compile import CompileBackend, check_compiler, compiled, open_axes
from zoo.encoder import Encoder
from zoo.errors import OptionError
from zoo.loading import load_row
from zoo.spec import ModelSpec

pytestmark = pytest.mark.filterwarnings(
    # of torch 2.13 itself, while its compiler is imported
    "ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"
)

# One of each kind of architecture; the first is quick enough for every run.
ROWS = ["all-minilm-l6-v2"] + [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("roberta-base", "clip-b16-text", "dinov2-b14-reg", "vit-b16", "resnet-18", "hog")
]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    """Forget what other tests have compiled."""
    torch._dynamo.reset()


def builds() -> int:
    """Return how many graphs have been compiled since the test began."""
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


@pytest.mark.parametrize("name", ROWS)
def test_batches_of_any_size_share_a_build_and_give_what_eager_gives(name: str) -> None:
    row = tiny_row(name)
    items = items_of(row, 5)
    eager, fast = (load_row(row, weights="random") for _ in range(2))
    fast = compiled(fast)

    first = fast.encode(items[:3], batch_size=3)
    before = builds()
    others = [fast.encode(items[:size], batch_size=size) for size in (2, 5, 4)]

    assert builds() == before
    assert relative_error(first, eager.encode(items[:3])) < FLOAT32
    for size, found in zip((2, 5, 4), others, strict=True):
        assert relative_error(found, eager.encode(items[:size], batch_size=size)) < FLOAT32


def test_one_door_loads_it_and_its_module_stays_an_ordinary_one() -> None:
    row = tiny_row("hog")
    encoder = zoo.load(row, backend="compile", weights="random")
    assert isinstance(encoder, Encoder)
    eager = zoo.load(row, weights="random")
    assert isinstance(eager, Encoder)
    images = items_of(row, 2)

    assert encoder.backend.name == "compile"
    assert type(encoder.module) is type(eager.module)
    batch = encoder.preprocess(images)
    found = cast(torch.Tensor, encoder(batch).pooled)
    assert relative_error(found.detach().numpy(), eager.encode(images)) < FLOAT32


def test_gradients_pass_through(run_row: ModelSpec) -> None:
    encoder = compiled(load_row(run_row, weights="random"))
    batch = encoder.preprocess(items_of(run_row, 2))
    pooled = cast(torch.Tensor, encoder(batch).pooled)
    pooled.square().sum().backward()  # type: ignore[no-untyped-call]  # torch's
    grads = [p.grad for p in encoder.module.parameters() if p.requires_grad]
    assert any(grad is not None and bool(grad.abs().sum() > 0) for grad in grads)


def test_axes_are_open_where_batches_differ() -> None:
    text, image = tiny_row("all-minilm-l6-v2"), tiny_row("resnet-18")

    assert open_axes(text, text.inputs[0], (3, 9)) == [0, 1]
    assert open_axes(text, text.inputs[0], (1, 9)) == [1]
    assert open_axes(image, image.inputs[0], (3, 3, 64, 64)) == [0]


def test_without_a_compiler_the_error_says_how_to_get_one() -> None:
    with pytest.raises(OptionError, match=r"no 'g\+\+' here.*backend='eager'"):
        check_compiler("cpu", {"PATH": "/nowhere", "CXX": "g++"})
    check_compiler("cpu")


def test_what_cannot_be_compiled_is_named() -> None:
    class Odd(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            torch._dynamo.graph_break()
            return pixels

    row = tiny_row("hog")
    backend = CompileBackend(row, Odd(), device=torch.device("cpu"), dtype=torch.float32)
    size = row.inputs[0].shape[2]
    pixels = np.zeros((2, 3, size if isinstance(size, int) else size.typical, 64), np.float32)
    with pytest.raises(OptionError, match=r"torch cannot compile hog: .*Use backend='eager'"):
        backend.run({"pixels": pixels}, normalize=False)


@pytest.fixture
def run_row() -> ModelSpec:
    return tiny_row("all-minilm-l6-v2")
