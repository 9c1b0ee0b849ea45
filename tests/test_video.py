"""Clips and V-JEPA 2 against transformers: networks, files of frames, what is no clip."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import VJEPA2Config, VJEPA2Model, VJEPA2VideoProcessor

from tests.full_size import assert_covers, dropped, shapes
from tests.reference import FLOAT64, make_live, relative_error, tolerance
from tests.tiny_rows import tiny_row
from zoo import samples
from zoo.cli import main
from zoo.encoder import Encoder
from zoo.errors import InputError, OptionError
from zoo.loading import load_module, load_row
from zoo.preprocess import Ask, preprocessor_for
from zoo.preprocess.video import VideoPreprocessor, chosen
from zoo.registry import default_registry
from zoo.spec import ModelSpec, VideoPreprocess
from zoo.weights import open_checkpoint
from zoo_vision.nets.vjepa2 import clip_rope, rotate_pairs
from zoo_vision.vjepa2_config import VJepa2Config

ROWS = [row for row in default_registry() if row.modality == "video"]
PHOTOS = samples.images()


def their_config(row: ModelSpec) -> Any:
    config = row.config
    assert isinstance(config, VJepa2Config)
    return VJEPA2Config(
        hidden_size=config.width,
        num_hidden_layers=config.depth,
        num_attention_heads=config.heads,
        mlp_ratio=config.hidden / config.width,
        crop_size=config.size,
        patch_size=config.patch,
        tubelet_size=config.tubelet,
        layer_norm_eps=config.eps,
        pred_hidden_size=24,
        pred_num_attention_heads=2,
        pred_num_hidden_layers=1,
    )


def pair(row: ModelSpec, folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """Return the reference with live weights, and ours filled from the file that it saves."""
    made: Any = VJEPA2Model(their_config(row))
    theirs: Any = make_live(made.to(dtype))
    theirs.save_pretrained(folder)
    ours = load_module(
        row,
        open_checkpoint([folder / "model.safetensors"]),
        dtype=dtype,
        device=torch.device("cpu"),
    )
    return theirs, ours


def clip(frames: int, size: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(frames)
    shape = (2, frames, 3, size, size)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("frames", [2, 6, 16])
@pytest.mark.parametrize("name", ["vjepa2-l16", "vjepa2-g16-384"])
def test_tokens_equal_the_reference(
    name: str, frames: int, dtype: torch.dtype, tmp_path: Path
) -> None:
    row = tiny_row(name)
    theirs, ours = pair(row, tmp_path, dtype)
    batch = clip(frames, 24, dtype)

    with torch.no_grad():
        found = ours(batch)
        expected = theirs(batch, skip_predictor=True).last_hidden_state

    assert relative_error(found.tokens, expected) <= tolerance(dtype)
    assert relative_error(found.pooled, expected.mean(dim=1)) <= tolerance(dtype)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_key_map_covers_the_full_size_network(row: ModelSpec) -> None:
    with torch.device("meta"):
        theirs = VJEPA2Model(their_config(row))
    header = shapes(theirs.state_dict())

    plan = assert_covers(row, header)

    assert dropped(plan) == {name for name in header if name.startswith("predictor.")}


# Traps


def test_a_pair_of_features_turns_by_two_angles(tmp_path: Path) -> None:
    """The authors write the angles twice in a row, where pairs would need each of them twice."""
    row = tiny_row("vjepa2-l16")
    theirs, _ = pair(row, tmp_path, torch.float64)
    q = torch.randn(1, 2, 18, 16, dtype=torch.float64)
    attention = theirs.encoder.layer[0].attention

    expected = attention.apply_rotary_embeddings(q, attention.get_position_ids(q[:, 0]))

    rope = clip_rope((2, 3, 3), 16, q)
    assert relative_error(rotate_pairs(q, rope), expected) <= FLOAT64
    part = rope[0][:, :4]
    usual = torch.cat((part[:, [0, 0, 1, 1]], rope[0][:, 4:]), dim=1), rope[1]
    assert relative_error(rotate_pairs(q, usual), expected) > 1e-3


def test_features_beyond_three_equal_parts_do_not_turn() -> None:
    q = torch.randn(1, 1, 18, 64, dtype=torch.float64)

    found = rotate_pairs(q, clip_rope((2, 3, 3), 64, q))

    assert torch.equal(found[..., 60:], q[..., 60:])
    assert (found[:, :, 17, :60] != q[:, :, 17, :60]).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_angles_keep_their_digits_in_16_bits(dtype: torch.dtype) -> None:
    exact = clip_rope((32, 16, 16), 64, torch.zeros(1, dtype=torch.float64))

    found = clip_rope((32, 16, 16), 64, torch.zeros(1, dtype=dtype))

    for table, wanted in zip(found, exact, strict=True):
        assert table.dtype == dtype
        assert (table.double() - wanted).abs().max() < torch.finfo(dtype).eps / 3  # of numbers to 1


def test_time_is_the_first_direction() -> None:
    cos, sin = clip_rope((2, 1, 1), 16, torch.zeros((), dtype=torch.float64))

    assert torch.equal(sin[0], torch.zeros(16, dtype=torch.float64))
    assert (sin[1, :4] > 0).all()
    assert torch.equal(cos[1, 4:], torch.ones(12, dtype=torch.float64))


# Preprocessing


def photos(number: int = 4) -> NDArray[np.uint8]:
    """Return a clip (T, H, W, 3): a window that moves over a photograph."""
    values = np.asarray(Image.open(PHOTOS[0]).convert("RGB").resize((340, 300)))
    return np.stack([values[4 * i : 260 + 4 * i, 3 * i : 300 + 3 * i] for i in range(number)])


def preprocessor(row: ModelSpec | None = None) -> VideoPreprocessor:
    made = preprocessor_for(row or default_registry().row("vjepa2-l16"))
    assert isinstance(made, VideoPreprocessor)
    return made


@pytest.mark.parametrize("size", [(256, 300), (301, 260), (480, 640)])
def test_frames_equal_the_reference_up_to_the_rounding_of_its_resize(size: tuple[int, int]) -> None:
    frames = np.stack([np.asarray(Image.fromarray(f).resize(size[::-1])) for f in photos()])
    theirs: Any = VJEPA2VideoProcessor()

    ours = preprocessor().pixels(frames)

    expected = theirs(list(frames), return_tensors="pt")["pixel_values_videos"][0].numpy()
    assert ours.shape == expected.shape == (4, 3, 256, 256)
    difference = np.abs(ours - expected) * 0.225 * 255
    assert difference.max() < 3  # of 255: torch's resize of bytes rounds otherwise than Pillow's
    assert difference.mean() < 0.5


def video_file(frames: NDArray[np.uint8], codec: str = "ffv1", kind: str = "matroska") -> bytes:
    """Return a video file without loss."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=kind) as container:
        stream: Any = container.add_stream(codec, rate=10)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        for frame in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return buffer.getvalue()


def test_every_kind_of_clip_gives_the_same_pixels(tmp_path: Path) -> None:
    frames = photos()
    path = tmp_path / "clip.mkv"
    path.write_bytes(video_file(frames))
    expected = preprocessor().pixels(frames)

    tensor = torch.from_numpy(frames).permute(0, 3, 1, 2)
    for item in (path, str(path), path.read_bytes(), list(frames), tensor,
                 [Image.fromarray(frame) for frame in frames]):  # fmt: skip
        np.testing.assert_array_equal(preprocessor().pixels(item), expected)


def test_long_clips_keep_frames_that_are_spread_evenly() -> None:
    assert chosen(5, 8) == [0, 1, 2, 3, 4]
    assert chosen(64, 64) == list(range(64))
    assert chosen(100, 4) == [12, 37, 62, 87]
    recipe = default_registry().row("vjepa2-l16").preprocess
    assert isinstance(recipe, VideoPreprocess)
    few = VideoPreprocessor(replace(recipe, frames=4))
    frames = photos(11)

    np.testing.assert_array_equal(few.pixels(frames), few.pixels(frames[chosen(11, 4)]))
    np.testing.assert_array_equal(few.pixels(video_file(frames)), few.pixels(frames))


def test_an_odd_clip_repeats_its_last_frame_and_an_image_is_a_clip_of_two() -> None:
    three, one = preprocessor().pixels(photos(3)), preprocessor().pixels(photos(1))

    assert three.shape[0] == 4
    np.testing.assert_array_equal(three[3], three[2])
    assert one.shape[0] == 2
    np.testing.assert_array_equal(one[0], one[1])
    image = preprocessor().pixels(PHOTOS[0])
    np.testing.assert_array_equal(image, preprocessor().pixels([PHOTOS[0]]))


BAD: dict[str, tuple[Any, str]] = {
    "no frames": ([], "has no frames"),
    "a number": (7, "int is no clip"),
    "five axes": (np.zeros((1, 2, 8, 8, 3), np.uint8), "is no clip"),
    "a lacking file": ("no/such.mp4", "There is no file 'no/such.mp4'"),
    "a URL": ("https://example.org/a.mp4", "is a URL"),
    "a text file": (PHOTOS[0].parents[1] / "texts.txt", "not a video that can be read"),
    "empty bytes": (b"", "bytes are empty. Pass those of a clip"),
    "half a file": (b"\x1aE\xdf\xa3" + bytes(50), "not a video that can be read"),
    "a bad frame": ([PHOTOS[0], "no.jpg"], "There is no file 'no.jpg'"),
}


@pytest.mark.parametrize(("item", "match"), BAD.values(), ids=BAD)
def test_what_is_no_clip_is_refused_with_the_reason(item: Any, match: str) -> None:
    (found,) = preprocessor().prepare([item])

    assert isinstance(found, InputError)
    with pytest.raises(InputError, match=match):
        raise found


def test_clips_have_no_roles() -> None:
    with pytest.raises(OptionError, match="no roles"):
        preprocessor().prepare([], Ask(role="query"))


# Encoding


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_row(tiny_row("vjepa2-l16"), weights="random", dtype="float64")


def test_clips_of_all_lengths_are_encoded_in_order(encoder: Encoder) -> None:
    clips = [photos(2), photos(8), photos(3), photos(2), PHOTOS[:5]]

    found = encoder.encode(clips, batch_size=3)

    alone = np.stack([encoder.encode([one])[0] for one in clips])
    np.testing.assert_allclose(found, alone, rtol=1e-10)
    tokens = encoder.encode(clips, output="tokens")
    assert [len(row) for row in tokens] == [9, 36, 18, 9, 27]
    with pytest.raises(InputError, match="different lengths cannot share a batch"):
        encoder.preprocess(clips)


def test_an_array_of_four_axes_is_one_clip(encoder: Encoder) -> None:
    assert encoder.encode(photos(4)).shape == (32,)
    np.testing.assert_array_equal(encoder.encode(photos(4)), encoder.encode([photos(4)])[0])


def test_clips_are_embedded_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zoo

    (tmp_path / "clips").mkdir()
    for name in ("a.mkv", "b.mp4"):
        kind = {"a.mkv": ("ffv1", "matroska"), "b.mp4": ("mpeg4", "mp4")}[name]
        (tmp_path / "clips" / name).write_bytes(video_file(photos(4)[:, :256, :288], *kind))
    monkeypatch.setattr(zoo, "resolve", lambda name: (tiny_row(name),))
    out = tmp_path / "clips.npy"

    code = main(["embed", "vjepa2-l16", str(tmp_path / "clips"), "-o", str(out),
                 "--weights", "random"])  # fmt: skip

    assert code == 0
    assert np.load(out).shape == (2, 32)
