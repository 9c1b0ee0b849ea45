"""What TensorRT's engines do on a GPU: profiles, CUDA graphs, what they say of themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import zoo
from tests.bundle_tools import BundleOf, bundle_of as bundle_of, items_of
from tests.gpu_tools import GPU_FLOAT32, cuda as cuda, need
from tests.reference import relative_error
from tests.test_gpu_engines import PACKAGES
from tests.tiny_rows import tiny_row
from zoo.bundle import open_bundle
from zoo.errors import BundleError
from zoo.runtime.rebuild import add_engine
from zoo.targets import TENSORRT_RTX, EngineOptions, target_of
from zoo_export.build import build_bundle
from zoo_export.parity import default_profile
from zoo_export.tensorrt.report import LAYERS

pytestmark = pytest.mark.gpu

both = pytest.mark.parametrize("target", PACKAGES)


def with_engine(bundle: Path, place: Path, target: str, options: EngineOptions) -> Path:
    """Return a bundle with an engine beside its graph."""
    add_engine(open_bundle(bundle), place, target_of(target), options)
    return place


@both
def test_recorded_runs_give_what_the_first_gave(
    target: str, cuda: str, bundle_of: BundleOf, tmp_path: Path
) -> None:
    need(*PACKAGES[target])
    options = EngineOptions(here=True, batches=(1, 8), progress=False)
    place = with_engine(bundle_of("all-minilm-l6-v2"), tmp_path / "b", target, options)
    encoder = zoo.open(place, device=cuda)
    texts = items_of(tiny_row("all-minilm-l6-v2"), 5)
    wanted = zoo.open(place, runtime="onnx").encode(texts)

    for _ in range(4):  # the second is recorded, the third replayed
        for count in (1, 3, 5):
            found = encoder.encode(texts[:count])
            assert relative_error(found, wanted[:count]) < GPU_FLOAT32
    many = encoder.encode(texts * 7)
    np.testing.assert_allclose(many[:5], many[30:], atol=1e-5)


@both
def test_an_export_on_a_gpu_judges_the_engine_itself(
    target: str, cuda: str, tmp_path: Path
) -> None:
    need(*PACKAGES[target])
    row = tiny_row("vit-b16")
    place = tmp_path / "b"
    build_bundle(
        row,
        place,
        profile=default_profile(row),
        weights="random",
        target=target_of(target),
        options=EngineOptions(here=True, progress=False),
    )
    engine = open_bundle(place).manifest.engine
    assert engine is not None
    assert engine.verdict.outcome == "passed"
    assert json.loads((place / LAYERS).read_text())["engine"]


def test_an_engine_for_another_gpu_is_refused_in_a_sentence(
    cuda: str, bundle_of: BundleOf, tmp_path: Path
) -> None:
    need(*PACKAGES[TENSORRT_RTX])
    from zoo.runtime.cuda import gpu_at

    other = "sm_80" if gpu_at(cuda, extra="rtx").device != "sm_80" else "sm_89"
    options = EngineOptions(devices=(other,), progress=False)
    place = with_engine(bundle_of("vit-b16"), tmp_path / "b", TENSORRT_RTX, options)
    with pytest.raises(BundleError, match=rf"The engine was made for {other}; the GPU here"):
        zoo.open(place, device=cuda)
