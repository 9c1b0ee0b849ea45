"""Graphs equal the networks that they were made of, at every shape, and say nothing of where."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import zoo
from tests.bundle_tools import BundleOf, bundle_of as bundle_of, items_of
from tests.reference import FLOAT32, images, relative_error
from tests.tiny_rows import distinct_rows, tiny_row
from zoo.backends.eager import EagerBackend
from zoo.bundle import MODEL, PARITY, SCOPES, open_bundle
from zoo.errors import BundleError, ExportError, OptionError, ParityError
from zoo.loading import load_row, random_module
from zoo.nn.attention import SelfAttention
from zoo.preprocess import Array, Batch
from zoo.runtime import run_bundle
from zoo.runtime.onnx import OnnxBackend
from zoo.spec import ModelSpec
from zoo_export import draft, graph
from zoo_export.attention import PlainAttention, plain_attention
from zoo_export.binding import profile_for
from zoo_export.build import build_bundle
from zoo_export.onnx import export_graph
from zoo_export.outputs import named_outputs
from zoo_export.provenance import OPSET

ROOT = Path(__file__).parent.parent
DISTINCT = [row.name for row in distinct_rows()]
# One of each architecture, and each way of pooling a text.
FEW = (
    "all-minilm-l6-v2",
    "roberta-base",
    "clip-b16-text",
    "dinov2-g14-reg",
    "resnet-18",
    "hog",
    "wav2vec2-base",
    "hubert-large",
    "whisper-base",
    "glove-6b-300",
    "fasttext-cc-en-300",
)

few = pytest.mark.parametrize("name", FEW)
most = pytest.mark.parametrize(
    "name", [*FEW, *(pytest.param(n, marks=pytest.mark.slow) for n in DISTINCT if n not in FEW)]
)


def batch_of(row: ModelSpec, samples: int, tokens: int) -> Batch:
    """Return noise in the shapes of a row; masks end early."""
    rng = np.random.default_rng(samples * 100 + tokens)
    arrays: dict[str, Array] = {}
    step = {"audio": 313, "video": 2}.get(row.modality, 1)  # samples, frames, or words
    for tensor in row.inputs:
        if tensor.dtype == "int64":
            sizes = [size if isinstance(size, int) else size.min + (tokens - 1) * step
                     for size in tensor.shape[1:]]  # fmt: skip
            if tensor.skippable:
                least = 1 if isinstance(tensor.shape[1], int) else tensor.shape[1].min
                lengths = rng.integers(least, sizes[0] + 1, (samples, 1))
                arrays[tensor.name] = (np.arange(sizes[0]) < lengths).astype(np.int64)
            else:
                arrays[tensor.name] = rng.integers(3, row.vocab or 0, (samples, *sizes))
        elif row.modality in ("audio", "video"):
            shape = [size if isinstance(size, int) else size.min + (tokens - 1) * step
                     for size in tensor.shape[1:]]  # fmt: skip
            arrays[tensor.name] = rng.standard_normal((samples, *shape)).astype(np.float32)
        else:
            recipe = row.preprocess
            assert recipe is not None
            height, width = getattr(recipe, "size")  # noqa: B009  images alone have floats here
            pixels = images(samples, height, width, torch.float32).numpy()
            arrays[tensor.name] = pixels[:, : int(cast(int, tensor.shape[1]))]
    return arrays


def eager(row: ModelSpec, module: nn.Module, batch: Batch) -> dict[str, Array]:
    """Return what the network gives, by the names of outputs."""
    with torch.inference_mode():
        encoded = module(**{name: torch.from_numpy(array) for name, array in batch.items()})
    return {name: value.numpy() for name, value in named_outputs(encoded).items()}


@most
def test_a_graph_equals_its_network_at_shapes_that_it_has_not_seen(
    name: str, bundle_of: BundleOf
) -> None:
    row = tiny_row(name)
    module = random_module(row)
    backend = cast(OnnxBackend, zoo.open(bundle_of(name)).backend)

    for samples, tokens in ((1, 1), (1, 23), (3, 5), (11, 17)):
        batch = batch_of(row, samples, tokens)
        found, wanted = backend.arrays(batch), eager(row, module, batch)
        for output in backend.graph.outputs:
            assert found[output].dtype == wanted[output].dtype
            assert relative_error(found[output], wanted[output]) < FLOAT32


@most
def test_a_bundle_encodes_as_the_loaded_row_does(name: str, bundle_of: BundleOf) -> None:
    row = tiny_row(name)
    items = items_of(row, 5)
    loaded, opened = load_row(row, weights="random"), zoo.open(bundle_of(name))

    if "pooled" in row.outputs:
        assert relative_error(opened.encode(items), loaded.encode(items)) < FLOAT32
    for one, other in zip(
        opened.encode(items, output="tokens"), loaded.encode(items, output="tokens"), strict=True
    ):
        assert relative_error(one, other) < FLOAT32


@few
def test_a_graph_has_the_names_and_axes_of_its_row(name: str, bundle_of: BundleOf) -> None:
    row = tiny_row(name)
    model = onnx.load(bundle_of(name) / MODEL)

    def shapes(values: object) -> dict[str, list[str | int]]:
        return {
            value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in values  # type: ignore[attr-defined]  # protobuf
        }

    inputs, outputs = shapes(model.graph.input), shapes(model.graph.output)
    assert list(inputs) == [tensor.name for tensor in row.inputs]
    assert all(shape[0] == "batch" for shape in (*inputs.values(), *outputs.values()))
    assert outputs["pooled"] == ["batch", row.dim]
    assert [entry.version for entry in model.opset_import if not entry.domain] == [OPSET]
    if row.modality == "text" and not isinstance(row.inputs[0].shape[1], int):
        assert inputs["input_ids"][:2] == ["batch", "length"]
        assert outputs["tokens"][:2] == ["batch", "length"]


@few
def test_nothing_in_a_bundle_says_where_it_was_made(name: str, bundle_of: BundleOf) -> None:
    bundle = bundle_of(name)
    for path in bundle.iterdir():
        data = path.read_bytes()
        for trace in (str(ROOT), str(bundle), str(Path.home()), "site-packages", ".py", "stack_tr"):
            assert trace.encode() not in data, f"{trace} in {path.name}"


@few
def test_every_operator_leads_back_to_a_module(name: str, bundle_of: BundleOf) -> None:
    model = onnx.load(bundle_of(name) / MODEL)
    scopes = json.loads((bundle_of(name) / SCOPES).read_text())
    modules = dict(random_module(tiny_row(name)).named_modules())
    names = [node.name for node in model.graph.node]

    assert len(set(names)) == len(names)
    assert set(scopes) <= set(names)
    assert len(scopes) >= 0.9 * len(names)
    assert set(scopes.values()) <= set(modules)
    assert not model.functions
    assert not any(node.metadata_props for node in model.graph.node)


def test_attention_has_no_detour_for_rows_without_keys(bundle_of: BundleOf) -> None:
    operators = Counter(
        node.op_type for node in onnx.load(bundle_of("all-minilm-l6-v2") / MODEL).graph.node
    )
    assert operators["Softmax"] == 2
    assert operators["Where"] == 1  # the mask, once for all blocks
    assert "IsNaN" not in operators


def test_an_epsilon_below_the_optimisers_zero_stays(bundle_of: BundleOf) -> None:
    row = tiny_row("hog")
    batch = {"pixels": np.zeros((1, 1, *row.inputs[0].shape[2:]), np.float32)}  # type: ignore[arg-type]  # fixed sizes
    backend = cast(OnnxBackend, zoo.open(bundle_of("hog")).backend)

    np.testing.assert_array_equal(
        backend.arrays(batch)["pooled"], eager(row, random_module(row), batch)["pooled"]
    )


def test_plain_attention_is_the_same_function_and_goes_away_again() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)[:, None, None]
    for qkv_bias, causal in ((True, False), (False, False), (True, True)):
        module = nn.Sequential(SelfAttention(8, 2, qkv_bias=qkv_bias, causal=causal).double())
        before = module[0]
        with plain_attention(module):
            assert isinstance(module[0], PlainAttention)
            torch.testing.assert_close(module[0](x), before(x))
            if not causal:
                torch.testing.assert_close(module[0](x, mask), before(x, mask))
                torch.testing.assert_close(module[0].first_tokens(x, 2), before.first_tokens(x, 2))
        assert module[0] is before


def test_a_module_is_left_as_it_was_also_by_an_export_that_fails(tmp_path: Path) -> None:
    row = tiny_row("vit-b16")
    module = random_module(row)
    names = [name for name, _ in module.named_parameters()]
    with pytest.raises(ExportError):
        export_graph(row, module, tmp_path / "x.onnx", outputs=("no such output",), facts={})
    assert [name for name, _ in module.named_parameters()] == names


def test_an_export_says_nothing_on_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    row = tiny_row("vit-b16")
    export_graph(row, random_module(row), tmp_path / "x.onnx", outputs=("pooled",), facts={})
    assert capfd.readouterr() == ("", "")


# Shapes that were asked for


def made(row: ModelSpec, place: Path, **asked: object) -> tuple[OnnxBackend, ModelSpec]:
    """Export a tiny row; return its backend and what the bundle says of it."""
    outputs = asked.pop("outputs", None)
    profile = profile_for(row, **asked)  # type: ignore[arg-type]  # a test's own words
    build_bundle(row, place, profile=profile, weights="random", outputs=outputs)  # type: ignore[arg-type]
    encoder = zoo.open(place)
    return cast(OnnxBackend, encoder.backend), cast(ModelSpec, encoder.spec)


def test_a_graph_of_one_batch_size_and_length_runs_any_number_of_texts(tmp_path: Path) -> None:
    row = tiny_row("all-minilm-l6-v2")
    backend, facts = made(row, tmp_path / "b", batch=(4, 4, 4), length=(16, 16, 16))
    short = replace(row, preprocess=facts.preprocess)

    for number in (1, 4, 7):
        items = [text * 9 for text in items_of(row, number)]  # some are longer than 16 tokens
        wanted = load_row(short, weights="random").encode(items)
        assert relative_error(zoo.open(tmp_path / "b").encode(items), wanted) < FLOAT32
    assert backend.graph.fixed == {"batch": 4, "length": 16}
    with pytest.raises(OptionError, match=r"the graph takes \(any, 16\)"):
        backend.arrays(batch_of(row, 2, 9))


def test_another_image_size_resamples_positions_and_prepares_images_so(tmp_path: Path) -> None:
    row = tiny_row("dinov2-b14")
    backend, facts = made(row, tmp_path / "b", size=((24, 32),) * 3)

    batch = {"pixels": images(3, 24, 32, torch.float32).numpy()}
    wanted = eager(row, random_module(row), batch)
    assert relative_error(backend.arrays(batch)["pooled"], wanted["pooled"]) < FLOAT32
    assert getattr(facts.preprocess, "size", None) == (24, 32)
    assert zoo.open(tmp_path / "b").encode(items_of(row, 2)).shape == (2, row.dim)


def test_a_convolutional_graph_takes_a_range_of_image_sizes(tmp_path: Path) -> None:
    row = tiny_row("resnet-18")
    backend, _ = made(row, tmp_path / "b", size=((32, 32), (64, 64), (96, 96)), outputs=["pooled"])

    module = random_module(row)
    for height, width in ((32, 96), (64, 64), (45, 71)):
        batch = {"pixels": images(2, height, width, torch.float32).numpy()}
        found = backend.arrays(batch)
        assert list(found) == ["pooled"]
        assert relative_error(found["pooled"], eager(row, module, batch)["pooled"]) < FLOAT32


def test_a_vision_transformer_takes_a_range_of_sizes_that_its_own_is_not_among(
    tmp_path: Path,
) -> None:
    row = tiny_row("dinov2-b14")
    own, typical, most = (16, 16), (24, 24), (32, 32)
    backend, _ = made(row, tmp_path / "b", size=((20, 20), typical, most))

    module = random_module(row)
    for height, width in ((20, 20), (32, 20), (24, 28)):
        batch = {"pixels": images(2, height, width, torch.float32).numpy()}
        wanted = eager(row, module, batch)["pooled"]
        assert relative_error(backend.arrays(batch)["pooled"], wanted) < FLOAT32
    # at its own size it adds positions as they are, which no graph of other sizes does
    with pytest.raises(ParityError, match=r"parity refused.* one --size at a time"):
        made(row, tmp_path / "c", size=(own, typical, most))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c.rejected"]


@pytest.mark.parametrize(
    ("name", "asked", "why"),
    [
        ("dinov2-b14", {"length": (1, 2, 3)}, "no dynamic length"),
        ("all-minilm-l6-v2", {"length": (1, 8, 9999)}, "takes a length of 1..24"),
        ("all-minilm-l6-v2", {"batch": (3, 2, 1)}, "min <= typical <= max"),
        ("dinov2-b14", {"size": ((15, 15),) * 3}, "15:15:15. Every size must be a multiple of"),
        ("hog", {"size": ((64, 64),) * 3}, "no dynamic height. What can be chosen: batch"),
    ],
)
def test_shapes_that_a_row_does_not_take_are_refused(
    name: str, asked: dict[str, tuple[int, int, int]], why: str
) -> None:
    with pytest.raises(OptionError, match=why):
        profile_for(tiny_row(name), **asked)


def test_outputs_are_those_that_were_asked_for(tmp_path: Path) -> None:
    row = tiny_row("resnet-18")
    backend, facts = made(row, tmp_path / "b", outputs=["pooled", "pyramid"])

    assert backend.graph.outputs == ("pooled", *(f"pyramid_{level}" for level in range(4)))
    assert facts.outputs == ("pooled", "pyramid")
    pyramid = zoo.open(tmp_path / "b").encode(items_of(row, 2), output="pyramid")
    assert [level.ndim for level in pyramid[0]] == [3] * 4
    with pytest.raises(OptionError, match="gives pooled, tokens, pyramid; not 'prefix'"):
        made(row, tmp_path / "c", outputs=["prefix"])


def test_a_graph_of_vectors_alone_leaves_out_what_they_do_not_read(
    tmp_path: Path, bundle_of: BundleOf
) -> None:
    row = tiny_row("vit-b16")
    backend, _ = made(row, tmp_path / "b", outputs=["pooled"])

    batch = batch_of(row, 3, 0)
    wanted = eager(row, random_module(row), batch)["pooled"]
    assert relative_error(backend.arrays(batch)["pooled"], wanted) < FLOAT32
    model = onnx.load(tmp_path / "b" / MODEL)
    gelus = [node.output[0] for node in model.graph.node if node.op_type == "Gelu"]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in gelus)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    rows = [array.size // array.shape[-1] for array in session.run(gelus, batch)]
    assert rows == [3 * 17, 3]  # tokens of three images, then their class tokens alone


def test_a_towers_own_mask_is_an_output_and_an_input_mask_is_not(bundle_of: BundleOf) -> None:
    clip = open_bundle(bundle_of("clip-b16-text")).manifest.graph
    bert = open_bundle(bundle_of("all-minilm-l6-v2")).manifest.graph
    assert (clip.outputs, clip.mask) == (("pooled", "tokens", "mask"), None)
    assert (bert.outputs, bert.mask) == (("pooled", "tokens"), "attention_mask")


def test_weights_too_large_for_one_file_lie_beside_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "ONE_FILE", 1000)
    row = tiny_row("all-minilm-l6-v2")
    backend, _ = made(row, tmp_path / "b")

    assert (tmp_path / "b" / f"{MODEL}.data").stat().st_size > 10_000
    batch = batch_of(row, 3, 7)
    wanted = eager(row, random_module(row), batch)
    assert relative_error(backend.arrays(batch)["pooled"], wanted["pooled"]) < FLOAT32


# The gate


def test_a_graph_that_differs_is_refused_and_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = tiny_row("all-minilm-l6-v2")

    def with_a_wrong_bias(
        row: ModelSpec, module: nn.Module, *rest: object, **named: object
    ) -> object:
        bias = cast(nn.Parameter, module.get_parameter("blocks.1.mlp.fc1.bias"))
        right = bias.detach().clone()
        bias.data.mul_(1.01)
        try:
            return export_graph(row, module, *rest, **named)  # type: ignore[arg-type]
        finally:
            bias.data.copy_(right)

    monkeypatch.setattr(draft, "export_graph", with_a_wrong_bias)
    with pytest.raises(ParityError, match=r"parity refused.*b\.rejected") as caught:
        made(row, tmp_path / "b")

    assert caught.value.exit_code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["b.rejected"]
    assert json.loads((tmp_path / "b.rejected" / PARITY).read_text())["verdict"] == "refused"
    assert (tmp_path / "b.rejected" / "repro" / "onnx" / "module" / "run.py").is_file()
    with pytest.raises(BundleError, match="not proven equal"):
        zoo.open(tmp_path / "b.rejected")


def test_a_loaded_row_and_a_bundle_that_is_open_share_one_face(bundle_of: BundleOf) -> None:
    bundle = open_bundle(bundle_of("vit-b16"))
    opened, row = run_bundle(bundle), tiny_row("vit-b16")
    loaded = load_row(row, weights="random")

    assert isinstance(loaded.backend, EagerBackend)
    for fact in ("name", "modality", "dim", "pooling", "normalize", "matryoshka", "vocab"):
        assert getattr(opened.spec, fact) == getattr(loaded.spec, fact)
    assert opened.spec.preprocess == loaded.spec.preprocess
