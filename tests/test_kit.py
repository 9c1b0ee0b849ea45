"""`zoo.testing` tells the author of a family what is wrong, and in which row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.toy_net import ToyNet
from tests.toys import ToyConfig, toy
from zoo.encoded import Encoded
from zoo.errors import KeyMapError
from zoo.loading import random_module
from zoo.spec import ModelSpec
from zoo.testing import check_export, check_family, check_reference, check_row, example_batch

Forward = Callable[[Encoded], Any]


class Letters(ToyConfig):
    """Numbers of a toy whose network ends in `change`."""

    change: Forward

    @property
    def vocab(self) -> int:
        return 64

    def build(self) -> nn.Module:
        return Changed(self)


class Changed(ToyNet):
    """The toy, and what a test does to its outputs."""

    def __init__(self, config: Letters) -> None:
        super().__init__(config)
        self.change = type(config).change

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Any:
        return self.change(super().forward(ids, mask))


def sound(change: Forward = lambda out: out, **facts: Any) -> ModelSpec:
    """Return a row with nothing wrong but what `change` does to its outputs."""
    config = type("Letters", (Letters,), {"change": staticmethod(change), "__slots__": ()})
    row = toy(config=config(**facts))
    family = replace(row.family, url="https://example.com/toys")
    return replace(row, family=family, params=64 * 4 + 2 * (4 * 4 + 4))


def fails(out: Encoded) -> Encoded:
    raise RuntimeError("no such axis")


def mixed(out: Encoded) -> Encoded:
    """Centre vectors over the batch, as a BatchNorm in training mode would."""
    assert out.pooled is not None
    return out._replace(pooled=out.pooled - out.pooled.mean(0) + 1)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (fails, r"its network fails on the inputs ids \(3, 8\), mask \(3, 8\): RuntimeError: no"),
        (lambda out: out.pooled, "its forward returns Tensor, not zoo.encoded.Encoded"),
        (lambda out: out._replace(tokens=None), "declares the output 'tokens', which its forward"),
        (lambda out: out._replace(pooled=out.pooled[:, :1]), r"of shape \(3, 1\), not \(3, 2\)"),
        (lambda out: out._replace(pooled=out.pooled[0]), r"pooled of three items has shape \(2,\)"),
        (lambda out: out._replace(pooled=out.pooled * torch.nan), "pooled: a number is not finite"),
        (lambda out: out._replace(pooled=out.pooled * 0 + 1), "does the network use its inputs"),
        (mixed, "pooled of an item depends on what else is in the batch"),
    ],
)
def test_what_a_network_does_wrong_is_said_with_its_row(change: Forward, problem: str) -> None:
    check_row(sound())

    with pytest.raises(AssertionError, match=f"^toy-a: .*{problem}"):
        check_row(sound(change))


def test_a_vector_that_should_have_unit_length_has_it() -> None:
    check_row(sound(normalize=True))

    def double(out: Encoded) -> Encoded:
        assert out.pooled is not None
        return out._replace(pooled=2 * out.pooled)

    with pytest.raises(AssertionError, match="its config says `normalize`"):
        check_row(sound(double, normalize=True))


def test_ids_without_a_vocabulary_are_asked_for() -> None:
    with pytest.raises(AssertionError, match="'ids' are integers; give its config `vocab`"):
        example_batch(toy())


def test_all_rows_of_a_family_are_looked_at() -> None:
    rows = [replace(sound(fails), name=name) for name in ("one", "two")]

    with pytest.raises(AssertionError, match=r"(?s)one: its network fails.*\ntwo: its network"):
        check_family([*rows, sound()])
    with pytest.raises(AssertionError, match="there are no rows"):
        check_family([])


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Return a file of the toy's weights."""
    path = tmp_path / "model.safetensors"
    save_file(random_module(sound(), seed=1).state_dict(), path)
    return path


def by_hand(path: Path) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
    """Return the toy computed another way."""
    from safetensors.torch import load_file

    weights = {name: tensor.double() for name, tensor in load_file(path).items()}

    def forward(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        x = weights["embedding.weight"][given["ids"]]
        for i in range(2):
            block = f"blocks.{i}"
            x = (x @ weights[f"{block}.weight"].mT + weights[f"{block}.bias"]).tanh()
        mask = given["mask"].double()[..., None]
        return {"tokens": x, "pooled": (x * mask).sum(1) / mask.sum(1)}

    return forward


def test_a_reference_that_agrees_gives_its_errors(published: Path) -> None:
    errors = check_reference(sound(), published, by_hand(published))

    assert set(errors) == {f"{name} {dtype}" for name in ("tokens", "pooled")
                           for dtype in ("float64", "float32")}  # fmt: skip
    assert errors["pooled float64"] < 1e-14


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda out: {**out, "pooled": out["pooled"] * (1 + 1e-9)}, "pooled in torch.float64 is 1"),
        (lambda out: {"pooled": out["pooled"][:, :1]}, r"pooled: shape \(3, 4\), reference \(3, 1"),
        (lambda out: {"vector": out["pooled"]}, "returned vector; outputs are called pooled, tok"),
        (lambda out: {"prefix": out["tokens"]}, "toy-a: its forward returns no prefix"),
        (lambda out: {"pooled": 0 * out["pooled"]}, "toy-a: pooled: the reference is all zeros"),
        (lambda out: {}, "the reference returned nothing"),
    ],
)
def test_a_reference_that_differs_is_told_by_output(
    published: Path, change: Callable[[Any], Any], problem: str
) -> None:
    forward = by_hand(published)

    with pytest.raises(AssertionError, match=problem):
        check_reference(sound(), published, lambda given: change(forward(given)))


def test_a_key_of_the_file_without_a_rule_is_named(published: Path, tmp_path: Path) -> None:
    state = {**random_module(sound()).state_dict(), "head.weight": torch.ones(2)}
    save_file(state, tmp_path / "more.safetensors")

    with pytest.raises(KeyMapError, match=r"head\.weight"):
        check_reference(sound(), tmp_path / "more.safetensors", by_hand(published))


def test_feature_maps_are_compared_one_by_one(published: Path) -> None:
    forward = by_hand(published)

    def maps(out: Encoded) -> Encoded:
        assert out.tokens is not None
        return out._replace(pyramid=(out.tokens, out.tokens + 1))

    with pytest.raises(AssertionError, match=r"pyramid\[1\] in torch.float64"):
        check_reference(
            sound(maps), published, lambda given: {"pyramid": [forward(given)["tokens"]] * 2}
        )


def test_an_export_that_encodes_otherwise_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tests.tiny_rows import tiny_row
    from zoo import samples
    from zoo.encoder import Encoder

    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    row = tiny_row("resnet-18")
    check_export(row, samples.images()[:2])
    whole = Encoder.encode

    def off(encoder: Encoder, *given: Any, **options: Any) -> Any:
        return whole(encoder, *given, **options) * (1 + 1e-4 * (encoder.backend.name == "onnx"))

    monkeypatch.setattr(Encoder, "encode", off)
    with pytest.raises(AssertionError, match=r"resnet-18: the bundle's vectors differ by 1\.0e-04"):
        check_export(row, samples.images()[:2])
