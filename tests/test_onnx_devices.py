"""ONNX Runtime runs where it was told to, or says why not; outputs stay where they are.

Without a GPU: what is asked of providers, what is made of their answers, and the path of bound
arrays, which is the same on a processor. With one: tests/test_gpu_onnx.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from onnxruntime import OrtValue

import zoo
from tests.bundle_tools import BundleOf, bundle_of as bundle_of, items_of
from tests.tiny_rows import tiny_row
from zoo.bundle import MODEL, open_bundle
from zoo.encoder import Encoder
from zoo.errors import OptionError
from zoo.runtime.binding import bind_value
from zoo.runtime.onnx import OnnxBackend, onnx_backend
from zoo.runtime.placement import CPU, check_nodes, nodes_of
from zoo.runtime.session import CUDA, Place, open_session, parse_place, providers_for
from zoo.runtime.tensorrt_provider import (
    LIBRARIES,
    TENSORRT,
    check_tf32,
    load_nvinfer,
    provider_options,
)
from zoo.spec import BATCH, Dim, TensorSpec

IDS = TensorSpec(
    name="input_ids",
    dtype="int64",
    shape=(
        Dim(name="batch", min=1, typical=4, max=8),
        Dim(name="length", min=2, typical=9, max=64),
    ),
)
PIXELS = TensorSpec(name="pixels", dtype="float32", shape=(BATCH, 3, 224, 224))


def bound(path: Path, *, most: int | None = None) -> Encoder:
    """Open a bundle whose outputs stay where they are until they are asked for."""
    encoder = zoo.open(path)
    backend = cast(OnnxBackend, encoder.backend)
    encoder.backend = OnnxBackend(
        backend.session, backend.spec, backend.graph, bound=True, most=most
    )
    return encoder


# What is asked for


def test_a_gpu_computes_in_float32_unless_tf32_is_asked_for() -> None:
    assert providers_for(parse_place("cuda:1")) == [(CUDA, {"device_id": "1", "use_tf32": "0"})]
    assert providers_for(parse_place("cuda"), tf32=True) == [
        (CUDA, {"device_id": "0", "use_tf32": "1"})
    ]


def test_tensorrt_comes_first_and_cuda_takes_what_it_leaves() -> None:
    asked = providers_for(parse_place("cuda:1"), tensorrt={"trt_engine_cache_enable": "1"})
    assert asked == [
        (TENSORRT, {"device_id": "1", "trt_engine_cache_enable": "1"}),
        (CUDA, {"device_id": "1", "use_tf32": "0"}),
    ]


def test_tensorrt_does_not_run_on_a_processor(bundle_of: BundleOf) -> None:
    with pytest.raises(OptionError, match="TensorRT runs on a GPU"):
        onnx_backend(open_bundle(bundle_of("hog")), tensorrt=True)


def test_a_bundle_is_handed_to_tensorrt_by_the_name_of_that_runtime(bundle_of: BundleOf) -> None:
    with pytest.raises(OptionError, match=r"cannot run on 'cuda': it has no Tensorrt"):
        zoo.open(bundle_of("hog"), runtime="onnx-tensorrt", tf32=True)


def test_engines_are_made_for_the_proven_shapes_and_kept_under_the_content(tmp_path: Path) -> None:
    options = provider_options((IDS,), {}, key="ab" * 32, folder=tmp_path)

    assert options["trt_engine_cache_prefix"] == "ab" * 16
    assert options["trt_engine_cache_path"] == options["trt_timing_cache_path"] == str(tmp_path)
    assert [options[f"trt_profile_{name}_shapes"] for name in ("min", "opt", "max")] == [
        "input_ids:1x2", "input_ids:4x9", "input_ids:8x64",
    ]  # fmt: skip


def test_fixed_axes_have_one_size_and_a_fixed_graph_has_no_profile(tmp_path: Path) -> None:
    options = provider_options((IDS,), {"length": 16}, key="0", folder=tmp_path)
    assert options["trt_profile_min_shapes"] == "input_ids:1x16"
    assert options["trt_profile_max_shapes"] == "input_ids:8x16"

    fixed = provider_options((PIXELS,), {"batch": 2}, key="0", folder=tmp_path)
    assert not [name for name in fixed if name.startswith("trt_profile")]


def test_tf32_inside_tensorrt_is_refused_unless_it_is_off_or_wanted() -> None:
    with pytest.raises(OptionError, match="NVIDIA_TF32_OVERRIDE=0 is set before Python starts"):
        check_tf32(tf32=False, environment={})
    check_tf32(tf32=False, environment={"NVIDIA_TF32_OVERRIDE": "0"})
    check_tf32(tf32=True, environment={})


def test_a_missing_libnvinfer_is_named_with_its_pip_line() -> None:
    asked: list[str] = []

    def load(library: str) -> object:
        asked.append(library)
        raise OSError(f"{library}: cannot open shared object file")

    with pytest.raises(OptionError, match=r'libnvinfer\.so\.10, and .* "tensorrt-cu13<11"'):
        load_nvinfer(load)
    assert Path(asked[0]).name == LIBRARIES[0]


def test_both_libraries_of_tensorrt_are_loaded() -> None:
    asked: list[str] = []
    load_nvinfer(lambda library: asked.append(Path(library).name))
    assert asked == list(LIBRARIES)


# What is made of the answers


def test_shapes_may_be_computed_on_the_processor_but_nothing_else() -> None:
    on_gpu = [(CUDA, "MatMul"), (CUDA, "Softmax")]
    check_nodes([*on_gpu, (CPU, "Shape"), (CPU, "Gather"), (CPU, "Concat")], [CUDA])
    with pytest.raises(OptionError, match=r"not run on CUDA.* the processor: 2 Gelu, 1 MatMul\."):
        check_nodes([*on_gpu, (CPU, "Gelu"), (CPU, "MatMul"), (CPU, "Gelu")], [CUDA])


def test_what_tensorrt_leaves_may_run_on_cuda_but_it_must_take_something() -> None:
    check_nodes([(TENSORRT, "MatMul"), (CUDA, "Gelu")], [TENSORRT, CUDA])
    with pytest.raises(OptionError, match="TensorrtExecutionProvider took none of the graph's 1"):
        check_nodes([(CUDA, "MatMul")], [TENSORRT, CUDA])


def test_a_runtime_that_does_not_tell_where_nodes_run_is_believed() -> None:
    check_nodes(None, [CUDA])


def test_onnx_runtime_tells_where_nodes_run(bundle_of: BundleOf) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = onnxruntime.InferenceSession(
        bundle_of("all-minilm-l6-v2") / MODEL, options, providers=[CPU]
    )

    nodes = nodes_of(session)
    assert nodes is not None
    assert {(CPU, "MatMul"), (CPU, "Shape")} <= set(nodes)
    with pytest.raises(OptionError, match="took none"):
        check_nodes(nodes, [CUDA])


def test_a_session_never_starts_again_elsewhere(bundle_of: BundleOf) -> None:
    session = open_session(bundle_of("hog") / MODEL)
    assert session._enable_fallback is False


# Arrays that stay where they are


def test_a_tensor_of_the_device_is_bound_by_its_address_and_numpy_as_it_is() -> None:
    here = Place(kind="cpu")
    tensor = torch.arange(6).reshape(2, 3)

    assert bind_value(IDS, tensor, here).pointer == tensor.data_ptr()
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    one = bind_value(IDS, array, here)
    assert (one.pointer, one.value.dtype) == (None, np.int64)
    turned = bind_value(IDS, tensor.t(), here)
    assert turned.value.is_contiguous()
    assert turned.value.data_ptr() == turned.pointer != tensor.data_ptr()
    assert bind_value(PIXELS, torch.ones(1, dtype=torch.float64), here).value.dtype == torch.float32


def test_a_tensor_of_the_processor_is_brought_to_a_gpu_and_one_of_another_device_refused() -> None:
    gpu = Place(kind="cuda", index=1)
    one = bind_value(IDS, torch.ones(2, 3, dtype=torch.int32), gpu)
    assert one.pointer is None
    assert (type(one.value), one.value.dtype) == (np.ndarray, np.int64)
    with pytest.raises(OptionError, match="input_ids is on meta; the bundle was opened on cuda:1"):
        bind_value(IDS, torch.ones(2, 3, device="meta"), gpu)


@pytest.mark.parametrize("name", ["all-minilm-l6-v2", "clip-b16-text", "vit-b16"])
def test_bound_outputs_are_those_of_a_plain_run(name: str, bundle_of: BundleOf) -> None:
    items = items_of(tiny_row(name), 3)
    plain, encoder = zoo.open(bundle_of(name)), bound(bundle_of(name))

    np.testing.assert_array_equal(encoder.encode(items), plain.encode(items))
    unit = encoder.encode(items, normalize=True)
    np.testing.assert_array_equal(unit, plain.encode(items, normalize=True))
    tensors = encoder.encode(items, convert_to_tensor=True)
    assert isinstance(tensors, torch.Tensor)
    np.testing.assert_array_equal(tensors.numpy(), plain.encode(items))
    for one, other in zip(
        encoder.encode(items, output="tokens", convert_to_tensor=True),
        plain.encode(items, output="tokens"),
        strict=True,
    ):
        np.testing.assert_array_equal(one.numpy(), other)


def test_a_call_leaves_its_outputs_where_they_are(bundle_of: BundleOf) -> None:
    encoder = bound(bundle_of("all-minilm-l6-v2"))
    batch = encoder.preprocess(["one", "two and more"])

    record = encoder({name: torch.from_numpy(array) for name, array in batch.items()})

    assert isinstance(record.pooled, OrtValue)
    shared = torch.utils.dlpack.from_dlpack(record.pooled)
    assert shared.data_ptr() == record.pooled.data_ptr()
    np.testing.assert_array_equal(shared.numpy(), encoder.encode(["one", "two and more"]))


def test_torch_tensors_of_the_processor_run_unbound_too(bundle_of: BundleOf) -> None:
    encoder = zoo.open(bundle_of("all-minilm-l6-v2"))
    batch = encoder.preprocess(["one", "two and more"])
    tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
    np.testing.assert_array_equal(encoder(tensors).pooled, encoder(batch).pooled)


def test_a_batch_beyond_what_an_engine_takes_runs_in_pieces(bundle_of: BundleOf) -> None:
    texts = [f"text {number}" for number in range(7)]
    whole, pieces = bound(bundle_of("simcse-unsup-bert-base")), []
    few = bound(bundle_of("simcse-unsup-bert-base"), most=3)
    run = few.backend._run  # type: ignore[attr-defined]  # to see the sizes
    few.backend._run = lambda batch, outputs: (  # type: ignore[attr-defined]
        pieces.append(len(batch["input_ids"])) or run(batch, outputs)  # type: ignore[func-returns-value]
    )
    np.testing.assert_allclose(few.encode(texts), whole.encode(texts), atol=1e-6)
    assert pieces == [3, 3, 1]
