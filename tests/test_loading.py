"""From a file to a module: exact coverage, nothing left behind, nothing copied without need."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import zoo
from tests.cli_tools import save_tiny_bert
from tests.toys import FAMILY, ToyConfig, toy
from zoo.errors import (
    KeyMapError,
    OptionError,
    UnknownModelError,
    UnsupportedCheckpointError,
    WeightsError,
)
from zoo.keys import KeyMap, drop, merge, move, split
from zoo.loading import load_module, load_row, random_module
from zoo.nn.live import make_live
from zoo.spec import ModelSpec, WeightsSpec
from zoo.testing import tiny
from zoo.weights import open_checkpoint

CPU = torch.device("cpu")


def state(seed: int = 1) -> dict[str, Tensor]:
    return dict(random_module(toy(), seed=seed).state_dict())


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with the toy's checkpoint."""
    save_file(state(), tmp_path / "model.safetensors")
    return tmp_path


def load(spec: ModelSpec, path: Path, dtype: torch.dtype = torch.float32) -> nn.Module:
    return load_module(spec, open_checkpoint([path]), dtype=dtype, device=CPU)


def test_every_tensor_of_the_file_arrives(saved: Path) -> None:
    module = load(toy(), saved / "model.safetensors")

    for name, tensor in module.state_dict().items():
        torch.testing.assert_close(tensor, state()[name], rtol=0, atol=0)


def test_a_loaded_module_is_ready_and_trainable(saved: Path) -> None:
    module = load(toy(), saved / "model.safetensors")

    assert not module.training
    assert not any(p.is_meta for p in module.parameters())
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    module(ids=torch.ones(1, 2, dtype=torch.int64)).pooled.sum().backward()
    optimiser.step()
    reread = load(toy(), saved / "model.safetensors")
    assert not torch.equal(module.get_parameter("blocks.0.bias"), state()["blocks.0.bias"])
    assert torch.equal(reread.get_parameter("blocks.0.bias"), state()["blocks.0.bias"])


@pytest.mark.parametrize("file", ["trained.pt", "trained.safetensors"])
@pytest.mark.parametrize("name", ["dinov2-s14", "resnet-18", "swin-t", "whisper-tiny"])
def test_what_was_trained_is_loaded_as_it_was_saved(name: str, file: str, tmp_path: Path) -> None:
    row = tiny(zoo.resolve(name)[0])
    module = random_module(row, seed=1)
    trained = module.state_dict()
    save: Any = torch.save if file.endswith(".pt") else save_file
    save(trained, tmp_path / file)

    loaded = load_row(row, weights=tmp_path / file).module

    for name, tensor in loaded.state_dict().items():
        torch.testing.assert_close(tensor, trained[name], rtol=0, atol=0)


def test_a_lone_file_of_weights_leaves_the_tokenizer_where_it_was(tmp_path: Path) -> None:
    folder = save_tiny_bert(tmp_path / "bert")
    encoder = zoo.load(folder)
    torch.save(encoder.module.state_dict(), tmp_path / "trained.pt")

    trained = zoo.load(folder, weights=tmp_path / "trained.pt")

    np.testing.assert_array_equal(trained.encode(["a", "b"]), encoder.encode(["a", "b"]))


@pytest.mark.parametrize("on_disk", [torch.float16, torch.bfloat16, torch.float64])
def test_the_dtype_on_disk_does_not_decide_the_dtype_in_memory(
    tmp_path: Path, on_disk: torch.dtype
) -> None:
    save_file({n: t.to(on_disk) for n, t in state().items()}, tmp_path / "m.safetensors")

    assert {p.dtype for p in load(toy(), tmp_path / "m.safetensors").parameters()} == {
        torch.float32
    }
    half = load(toy(), tmp_path / "m.safetensors", torch.bfloat16)
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    tensors = state()
    del tensors["blocks.1.bias"]
    save_file(tensors, tmp_path / "m.safetensors")

    with pytest.raises(KeyMapError, match=r"blocks\.1\.bias"):
        load(toy(), tmp_path / "m.safetensors")


def test_a_checkpoint_of_another_size_is_refused(saved: Path) -> None:
    with pytest.raises(KeyMapError, match=r"network \[64, 8\]"):
        load(toy(config=ToyConfig(width=8)), saved / "model.safetensors")


def test_merge_split_and_transpose_move_the_numbers_right(tmp_path: Path) -> None:
    tensors = state()
    weight, bias = tensors.pop("blocks.0.weight"), tensors.pop("blocks.0.bias")
    tensors["up"], tensors["down"] = weight[:2].clone(), weight[2:].clone()
    tensors["fused"] = torch.cat([bias, tensors.pop("blocks.1.bias")])
    tensors["flipped"] = tensors.pop("blocks.1.weight").t().contiguous()
    tensors["head.weight"] = torch.ones(3)
    save_file(tensors, tmp_path / "m.safetensors")
    keymap = KeyMap(
        name="odd",
        rules=(
            move("embedding.weight", "embedding.weight"),
            merge(("up", "down"), "blocks.0.weight"),
            split("fused", ("blocks.0.bias", "blocks.1.bias")),
            move("flipped", "blocks.1.weight", transpose=True),
            drop("head.*", "the classifier"),
        ),
    )

    module = load(
        replace(toy(), family=replace(FAMILY, keymaps=(keymap,))), tmp_path / "m.safetensors"
    )

    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, state()[name]), name


def test_tied_tensors_are_one_parameter_again(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(3, 3, bias=False)
            self.other = nn.Linear(3, 3, bias=False)
            self.other.weight = self.one.weight

    class TiedConfig(ToyConfig):
        def build(self) -> nn.Module:
            return Tied()

    save_file({"w": torch.eye(3)}, tmp_path / "m.safetensors")
    keymap = KeyMap(
        name="tied", rules=(move("w", "one.weight"),), ties=(("other.weight", "one.weight"),)
    )
    spec = replace(toy(config=TiedConfig()), family=replace(FAMILY, keymaps=(keymap,)))

    module = load(spec, tmp_path / "m.safetensors")

    assert module.get_parameter("one.weight") is module.get_parameter("other.weight")


def test_buffers_that_no_file_holds_are_made_for_real(tmp_path: Path) -> None:
    class Buffered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(2, 2, bias=False)
            self.register_buffer("table", torch.arange(2.0), persistent=False)

        def make_buffers(self, device: torch.device) -> None:
            self.table = torch.arange(2.0, device=device)

    class BufferedConfig(ToyConfig):
        def build(self) -> nn.Module:
            return Buffered()

    class Forgetful(Buffered):
        make_buffers = None  # type: ignore[assignment]  # a net that forgot

    class ForgetfulConfig(ToyConfig):
        def build(self) -> nn.Module:
            return Forgetful()

    save_file({"w": torch.eye(2)}, tmp_path / "m.safetensors")
    family = replace(FAMILY, keymaps=(KeyMap(name="b", rules=(move("w", "one.weight"),)),))

    module = load(replace(toy(config=BufferedConfig()), family=family), tmp_path / "m.safetensors")
    assert torch.equal(module.get_buffer("table"), torch.tensor([0.0, 1.0]))
    with pytest.raises(KeyMapError, match="table: still on the meta device"):
        load(replace(toy(config=ForgetfulConfig()), family=family), tmp_path / "m.safetensors")


def test_random_weights_are_live_and_the_same_everywhere() -> None:
    one, again, other = (random_module(toy(), seed=seed).state_dict() for seed in (3, 3, 4))

    for name, tensor in one.items():
        assert torch.equal(tensor, again[name])
        assert not torch.equal(tensor, other[name])
        assert (tensor != 0).all(), name


def test_live_weights_leave_no_norm_scale_or_statistic_at_its_default() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.LayerNorm(4))
    scale = nn.Module()
    scale.gamma = nn.Parameter(1e-5 * torch.ones(4))
    module.append(scale)

    make_live(module)

    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            assert (tensor != 0).all(), name
            assert tensor.unique().numel() > 1, name
    assert (scale.gamma - 1).abs().max() < 0.6
    assert (module.get_buffer("1.running_var") > 0.4).all()


@pytest.mark.parametrize("what", ["folder", "file"])
def test_weights_can_be_the_users_own(saved: Path, what: str) -> None:
    from zoo.loading import load_row

    path = saved if what == "folder" else saved / "model.safetensors"
    spec = toy(weights=WeightsSpec(source="hf:nobody/nothing", revision="0" * 40))

    with pytest.raises(TypeError, match="no preprocessing"):  # the toy has none; weights came in
        load_row(spec, weights=path)


def test_a_path_that_is_not_there_says_so() -> None:
    from zoo.loading import load_row

    with pytest.raises(OptionError, match="neither 'random' nor a file or folder"):
        load_row(toy(), weights="nowhere/at/all")


def test_a_row_without_weights_needs_none() -> None:
    vectors = zoo.load("hog").encode(np.zeros((64, 64, 3), dtype=np.uint8))

    assert vectors is not None


@pytest.mark.parametrize("name", [None, 3, b"hog", ["hog"]])
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(UnknownModelError, match="by its name, a str, not by"):
        zoo.load(name)


@pytest.mark.parametrize("name", ["", "x" * 5000, "a\0b", "~nobody-of-that-name/x", "./nowhere"])
def test_a_name_that_leads_nowhere_is_unknown(name: str) -> None:
    with pytest.raises(UnknownModelError):
        zoo.load(name)


def test_a_folder_may_be_given_as_a_path(tmp_path: Path) -> None:
    with pytest.raises(
        UnsupportedCheckpointError, match=r"names no arch.*: it has no config\.json"
    ):
        zoo.load(tmp_path)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('{"model_type": "gpt2"}', "model_type = 'gpt2'"),
        ('{"architecture": "tresnet_l"}', "architecture = 'tresnet_l'"),
        ("{}", "no model_type"),
    ],
)
def test_an_architecture_that_nobody_knows_is_named(config: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(UnsupportedCheckpointError, match=f"names no architecture .* has {said}"):
        zoo.load(tmp_path)


@pytest.mark.parametrize("device", ["abacus", None, "meta"])
def test_a_device_that_is_none_is_refused(device: Any) -> None:
    with pytest.raises(OptionError, match="device"):
        zoo.load("hog", device=device)


def test_another_backend_is_not_pretended() -> None:
    with pytest.raises(OptionError, match=r"no backend 'jax'\. There are eager, compile, onnx"):
        zoo.load("hog", backend="jax")


@pytest.mark.parametrize("dtype", ["int8", "float99", torch.int64])
def test_a_dtype_that_is_none_is_refused(dtype: str | torch.dtype) -> None:
    with pytest.raises(OptionError, match="is none of float32"):
        zoo.load("hog", dtype=dtype)


def test_a_broken_file_is_a_weights_error(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{broken}")

    with pytest.raises(WeightsError):
        load(toy(), tmp_path / "m.safetensors")


def test_a_row_whose_weights_nobody_publishes_is_never_filled_with_noise() -> None:
    with pytest.raises(zoo.ZooError, match="weights=PATH"):
        zoo.load("moco-v3-s16")
