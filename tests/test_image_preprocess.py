"""Images become the pixels that Pillow, torchvision, timm and transformers make of them."""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import zoo
from zoo.errors import InputError, OptionError
from zoo.preprocess import Ask, Sample
from zoo.preprocess.image import FILTERS, ImagePreprocessor
from zoo.spec import ImagePreprocess

SIZES = [(640, 480), (481, 640), (300, 300), (231, 1000), (224, 224), (100, 37), (2, 3), (999, 248),
         (333, 255)]  # fmt: skip
IMAGENET = ImagePreprocess(size=(224, 224), resize=256)


def photo(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Return smooth shapes with noise on top."""
    random = np.random.default_rng(seed + width * 7 + height)
    coarse = Image.fromarray(random.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    noisy = smooth + random.integers(-20, 21, smooth.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).convert(mode)


def pixels(item: Any, recipe: ImagePreprocess = IMAGENET) -> NDArray[np.float32]:
    return ImagePreprocessor(recipe).pixels(item)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def as_bytes(item: Any) -> NDArray[np.uint8]:
    """Return the 8-bit RGB values (H, W, 3) that an item is read as."""
    from zoo.preprocess.opening import open_image

    return np.asarray(open_image(item))


# --- pixels against the references ---------------------------------------------------------------


@pytest.mark.parametrize("resample", ["bilinear", "bicubic", "lanczos", "nearest", "box"])
@pytest.mark.parametrize("size", SIZES)
def test_pixels_equal_torchvision_bit_for_bit(size: tuple[int, int], resample: str) -> None:
    from torchvision import transforms as T

    recipe = ImagePreprocess(size=(224, 224), resize=256, resample=resample)  # type: ignore[arg-type]
    transform = T.Compose([
        T.Resize(256, interpolation=T.InterpolationMode(resample)),
        T.CenterCrop(224),
        T.ToTensor(),
        T.Normalize(recipe.mean, recipe.std),
    ])  # fmt: skip

    image = photo(*size)

    assert np.array_equal(pixels(image, recipe), transform(image).numpy())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("resize", "target", "half"), [(248, 224, True), (256, 224, False), (235, 224, False)]
)
def test_pixels_equal_timm_bit_for_bit(
    size: tuple[int, int], resize: int, target: int, half: bool
) -> None:
    from timm.data import create_transform

    mean = (0.5, 0.5, 0.5) if half else (0.485, 0.456, 0.406)
    std = (0.5, 0.5, 0.5) if half else (0.229, 0.224, 0.225)
    transform = create_transform(
        (3, target, target), interpolation="bicubic", mean=mean, std=std, crop_pct=target / resize
    )
    recipe = ImagePreprocess(size=(target, target), resize=resize, mean=mean, std=std)

    image = photo(*size)

    assert np.array_equal(pixels(image, recipe), transform(image).numpy())


@pytest.mark.parametrize("row", ["vit-b16", "deit-b16", "dinov2-b14", "moco-v3-s16", "ijepa-h14"])
def test_a_rows_pixels_equal_timms_transform_of_the_same_numbers(row: str) -> None:
    from timm.data import create_transform

    recipe = zoo.info(row).preprocess  # type: ignore[union-attr]
    assert isinstance(recipe, ImagePreprocess)
    assert isinstance(recipe.resize, int)
    transform = create_transform(
        (3, *recipe.size),
        interpolation=recipe.resample,
        mean=recipe.mean,
        std=recipe.std,
        crop_pct=recipe.size[0] / recipe.resize,
    )

    image = photo(517, 389)

    assert np.array_equal(pixels(image, recipe), transform(image).numpy())


ONE_STEP = 1 / 255  # a rounding of one 8-bit value, before the division by std
SCALE_ROUNDING = 1e-6  # transformers multiplies by 1/255 in float64, torchvision divides


@pytest.mark.parametrize("size", SIZES)
def test_pixels_equal_transformers_pillow_processors(size: tuple[int, int]) -> None:
    from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    image = photo(*size)
    squash = ImagePreprocess(size=(224, 224), resize=None, resample="bilinear")
    cut = ImagePreprocess(size=(224, 224), resize=256, crop_offset="floor")

    vit = ViTImageProcessorPil(
        size={"height": 224, "width": 224}, resample=2, image_mean=squash.mean,
        image_std=squash.std, do_resize=True, do_rescale=True, do_normalize=True,
    )  # fmt: skip
    bit = BitImageProcessorPil(
        size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224}, resample=3,
        image_mean=cut.mean, image_std=cut.std, do_center_crop=True,
    )  # fmt: skip

    for processor, recipe in ((vit, squash), (bit, cut)):
        expected = np.asarray(processor(image, return_tensors="np")["pixel_values"][0])
        assert np.abs(pixels(image, recipe) - expected).max() <= SCALE_ROUNDING / min(recipe.std)


def test_half_an_odd_margin_is_rounded_as_the_recipe_says() -> None:
    image = Image.fromarray(np.arange(7, dtype=np.uint8)[None].repeat(7, 0))
    small = {"size": (4, 4), "resize": 7, "mean": (0.0,), "std": (1.0,), "channels": "grey"}

    torchvision = pixels(image, ImagePreprocess(**small, crop_offset="round"))  # type: ignore[arg-type]
    transformers = pixels(image, ImagePreprocess(**small, crop_offset="floor"))  # type: ignore[arg-type]

    assert torchvision[0, 0, 0] * 255 == 2  # round(1.5), half to even
    assert transformers[0, 0, 0] * 255 == 1


def test_a_pair_squashes_before_the_crop() -> None:
    image = photo(300, 200)
    recipe = ImagePreprocess(size=(24, 24), resize=(32, 40), mean=(0,) * 3, std=(1,) * 3)

    expected = image.resize((40, 32), FILTERS["bicubic"]).crop((8, 4, 32, 28))

    assert np.array_equal(
        np.rint(pixels(image, recipe) * 255), np.asarray(expected).transpose(2, 0, 1)
    )


def test_grey_recipes_give_one_channel() -> None:
    recipe = ImagePreprocess(size=(8, 8), resize=None, mean=(0.0,), std=(1.0,), channels="grey")

    result = pixels(photo(16, 16), recipe)

    expected = np.asarray(photo(16, 16).convert("L").resize((8, 8), FILTERS["bicubic"]))
    assert result.shape == (1, 8, 8)
    assert np.array_equal(np.rint(result[0] * 255), expected)


# --- kinds of items ------------------------------------------------------------------------------


def test_path_bytes_image_array_and_tensor_give_the_same_pixels(tmp_path: Path) -> None:
    image = photo(90, 60)
    path = tmp_path / "photo.png"
    image.save(path)
    array = np.asarray(image)
    channels_last = torch.from_numpy(array.copy())
    expected = pixels(image)

    for item in (
        path,
        str(path),
        path.read_bytes(),
        bytearray(path.read_bytes()),
        memoryview(path.read_bytes()),
        array,
        channels_last,
        channels_last.permute(2, 0, 1),
        array.astype(np.float32) / 255,
        array.astype(np.float64) / 255,
        channels_last.permute(2, 0, 1) / 255,
        array.astype(np.int64),
        array.astype(np.uint16) * 257,
    ):
        assert np.array_equal(pixels(item), expected), type(item)


def test_tensors_that_need_gradients_or_are_bfloat16_are_taken() -> None:
    tensor = torch.rand(3, 40, 50, requires_grad=True)

    assert pixels(tensor).shape == (3, 224, 224)
    assert np.abs(as_bytes(tensor.bfloat16()).astype(int) - as_bytes(tensor)).max() <= 1


def test_grey_arrays_and_images_fill_three_channels() -> None:
    grey = np.asarray(photo(40, 30, "L"))
    expected = as_bytes(photo(40, 30, "L"))

    assert np.array_equal(expected[..., 0], grey)
    for item in (grey, grey[..., None], torch.from_numpy(grey.copy())[None]):
        assert np.array_equal(as_bytes(item), expected)


def test_floats_are_rounded_not_cut() -> None:
    every = np.arange(256, dtype=np.float32).reshape(16, 16) / np.float32(255)

    assert np.array_equal(as_bytes(every)[..., 0].ravel(), np.arange(256))


def test_one_bit_images_become_black_and_white() -> None:
    mask = np.array([[True, False], [False, True]])

    assert np.array_equal(as_bytes(mask)[..., 0], [[255, 0], [0, 255]])
    assert np.array_equal(as_bytes(Image.fromarray(mask))[..., 1], [[255, 0], [0, 255]])


# --- kinds of files ------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_image_upright(orientation: int) -> None:
    from PIL import ImageOps

    image = photo(60, 40)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(image, "JPEG", quality=95, exif=exif)

    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))

    assert np.array_equal(as_bytes(data), np.asarray(expected))
    assert as_bytes(data).shape[:2] == ((40, 60) if orientation < 5 else (60, 40))


def test_exif_orientation_of_png_and_tiff_is_applied_once() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("PNG", "TIFF"):
        data = encoded(photo(60, 40), kind, exif=exif)
        expected = photo(60, 40).transpose(Image.Transpose.ROTATE_270)
        assert np.array_equal(as_bytes(data), np.asarray(expected)), kind


def test_palettes_with_transparency_give_their_colours_without_a_warning() -> None:
    image = photo(30, 20).quantize(16)
    data = encoded(image, "PNG", transparency=bytes(range(16)))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = as_bytes(data)

    assert np.array_equal(result, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_dropped(mode: str) -> None:
    image = photo(30, 20, mode)
    image.putalpha(
        Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30).astype(np.uint8))
    )

    expected = (
        np.asarray(image)[..., :3] if mode == "RGBA" else np.asarray(image)[..., :1].repeat(3, 2)
    )

    assert np.array_equal(as_bytes(encoded(image, "PNG")), expected)


@pytest.mark.parametrize(
    "mode", ["CMYK", "YCbCr", "HSV", "L", "P", "1", "RGBX", "PA", "RGBa", "La"]
)
def test_every_mode_of_pillow_becomes_rgb(mode: str) -> None:
    image = photo(30, 20).convert("RGBA" if mode == "RGBa" else "LA" if mode == "La" else "RGB")
    image = image.convert("P").convert("PA") if mode == "PA" else image.convert(mode)

    result = as_bytes(image)

    assert result.shape == (20, 30, 3)
    assert result.std() > 1


def test_cmyk_jpegs_of_adobe_are_not_inverted() -> None:
    image = photo(64, 48)
    data = encoded(image.convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data

    difference = np.abs(as_bytes(data).astype(int) - np.asarray(image))

    assert difference.mean() < 12  # an inverted image differs by about 100


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_cut_off(kind: str) -> None:
    values = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    data = encoded(Image.fromarray(values), kind)

    result = as_bytes(data)[..., 0]

    assert np.array_equal(result, np.rint(values / 257.0).astype(np.uint8))
    assert result.min() == 0
    assert result.max() == 255


def test_integer_and_float_images_follow_the_rules_of_arrays() -> None:
    deep = Image.fromarray(np.array([[0, 65535]], np.int32))
    real = Image.fromarray(np.array([[0.0, 1.0]], np.float32))

    assert as_bytes(deep)[0, :, 0].tolist() == [0, 255]
    assert as_bytes(real)[0, :, 0].tolist() == [0, 255]
    with pytest.raises(InputError, match=r"0\.\.65535"):
        as_bytes(Image.fromarray(np.array([[0, 70000]], np.int32)))
    with pytest.raises(InputError, match=r"outside \[0, 1\]"):
        as_bytes(Image.fromarray(np.array([[0.0, 255.0]], np.float32)))


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [photo(20, 20, seed=seed).quantize(64) for seed in range(3)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])

    assert np.array_equal(as_bytes(data), np.asarray(frames[0].convert("RGB")))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000"])
def test_common_formats_are_read(kind: str) -> None:
    data = encoded(photo(50, 40), kind)

    assert np.array_equal(as_bytes(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


# --- what is refused -----------------------------------------------------------------------------


def reason(item: Any) -> str:
    (result,) = ImagePreprocessor(IMAGENET).prepare([item])
    assert isinstance(result, InputError), type(result)
    return str(result)


@pytest.mark.parametrize(
    "url", ["https://example.com/a.jpg", "s3://bucket/a.png", "data:image/png;base64,AAAA"]
)
def test_urls_are_refused_with_the_way_out(url: str) -> None:
    assert "Download the file" in reason(url)


def test_missing_files_folders_and_empty_ones_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()

    assert "There is no file" in reason(tmp_path / "none.jpg")
    assert "is a folder" in reason(tmp_path)
    assert "empty" in reason(tmp_path / "empty.jpg")
    assert "empty" in reason(b"")
    assert "cannot be read" in reason("a\0b")


def test_what_is_no_image_is_refused_with_what_can_be_read() -> None:
    assert "JPEG, PNG" in reason(b"hello, this is text")
    assert "int is no image" in reason(7)
    assert "NoneType is no image" in reason(None)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_truncated_file_is_refused(kind: str) -> None:
    data = encoded(photo(200, 150), kind)

    text = reason(data[: len(data) // 2])

    assert "broken" in text or "not an image that can be read" in text


def test_postscript_is_never_run() -> None:
    assert "not an image that can be read" in reason(encoded(photo(20, 20), "EPS"))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (np.zeros((2, 8, 8, 3), np.uint8), "batch"),
        (np.zeros((3, 8, 9), np.uint8), "transpose"),
        (np.zeros((8, 9, 2), np.uint8), "is no image"),
        (np.zeros(5, np.uint8), "is no image"),
        (np.full((8, 8, 3), np.nan), "not finite"),
        (np.full((8, 8, 3), np.inf), "not finite"),
        (np.full((8, 8, 3), 255.0), "Divide"),
        (np.full((8, 8, 3), -1.0), "Divide"),
        (np.full((8, 8, 3), 300), "outside 0..255"),
        (np.full((8, 8), 1j), "complex128"),
        (np.full((8, 8), "x"), "Pass uint8"),
    ],
)
def test_arrays_that_are_no_images_are_refused(array: NDArray[Any], words: str) -> None:
    assert words in reason(array)


def test_an_image_without_pixels_is_refused() -> None:
    assert "0 x 5 pixels" in reason(Image.new("RGB", (0, 5)))


def test_an_image_thousands_of_times_longer_than_wide_is_refused() -> None:
    assert "Cut the image into pieces" in reason(Image.new("RGB", (1, 2000)))


def test_a_closed_image_is_refused(tmp_path: Path) -> None:
    photo(20, 20).save(tmp_path / "a.png")
    image = Image.open(tmp_path / "a.png")
    image.close()

    assert "broken" in reason(image)


@pytest.mark.parametrize(("width", "height"), [(10_000, 9_500), (20_000, 20_000)])
def test_decompression_bombs_are_refused_before_they_are_decoded(width: int, height: int) -> None:
    data = encoded(Image.new("1", (width, height)), "PNG")
    assert len(data) < 100_000

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "MAX_IMAGE_PIXELS" in reason(data)


def test_a_bad_item_stays_in_its_place_and_the_others_are_prepared() -> None:
    good, bad, also = ImagePreprocessor(IMAGENET).prepare([photo(30, 20), b"no", photo(20, 30)])

    assert isinstance(good, Sample)
    assert isinstance(bad, InputError)
    assert isinstance(also, Sample)


def test_images_have_no_prompts() -> None:
    with pytest.raises(OptionError, match="no prompts"):
        ImagePreprocessor(IMAGENET).prepare([photo(8, 8)], Ask(prompt="a photo"))


# --- batches -------------------------------------------------------------------------------------


def test_a_batch_joins_samples_and_their_size_is_their_pixels() -> None:
    preprocessor = ImagePreprocessor(ImagePreprocess(size=(28, 42), resize=(28, 42)), name="x")
    samples = [s for s in preprocessor.prepare([photo(50, 40)] * 3) if isinstance(s, Sample)]

    batch = preprocessor.collate(samples)

    assert batch["x"].shape == (3, 3, 28, 42)
    assert batch["x"].dtype == np.float32
    assert {sample.size for sample in samples} == {28 * 42}


def test_one_lazily_opened_image_may_come_many_times(tmp_path: Path) -> None:
    photo(400, 300).save(tmp_path / "a.jpg")
    image = Image.open(tmp_path / "a.jpg")

    results = ImagePreprocessor(IMAGENET).prepare([image] * 16)

    assert all(isinstance(result, Sample) for result in results)


def test_the_images_handed_in_are_not_changed() -> None:
    image = photo(30, 20, "P")
    before = image.tobytes()
    array = np.asarray(photo(30, 20)).copy()
    kept = array.copy()

    pixels(image)
    pixels(array)

    assert image.tobytes() == before
    assert image.mode == "P"
    assert np.array_equal(array, kept)


def test_the_filter_of_warnings_is_gone_afterwards() -> None:
    before = list(warnings.filters)

    ImagePreprocessor(IMAGENET).prepare([photo(30, 20), b"no"])

    assert list(warnings.filters) == before


def test_opening_and_resizing_large_photos_keeps_their_proportions() -> None:
    image = photo(1200, 900)
    recipe = ImagePreprocess(size=(224, 224), resize=248)

    expected = image.resize((330, 248), FILTERS["bicubic"]).crop((53, 12, 277, 236))

    assert int(248 * 1200 / 900) == 330
    assert math.isclose(
        float(pixels(image, recipe).mean()),
        float(((np.asarray(expected) / 255 - recipe.mean) / recipe.std).mean()),
        abs_tol=1e-6,
    )
