"""A row at the shapes that it is exported for: what the graph takes and how items are prepared.

No torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from zoo.errors import OptionError
from zoo.spec import (
    AudioPreprocess,
    Dim,
    ImagePreprocess,
    ModelSpec,
    Preprocess,
    TensorSpec,
    TextPreprocess,
    VideoPreprocess,
    WordPreprocess,
)
from zoo_export.parity.profile import Profile, Range, default_profile

Triple = tuple[int, int, int]
Size = tuple[int, int]


LENGTHS = ("length", "samples", "frames")  # names of the axis along which items are long or short


def profile_for(
    row: ModelSpec,
    *,
    batch: Triple | None = None,
    length: Triple | None = None,
    size: tuple[Size, Size, Size] | None = None,
) -> Profile:
    """Return the profile that was asked for; what is not given is the row's default.

    Args:
        row: What is exported.
        batch: Smallest, typical, largest number of samples.
        length: Smallest, typical, largest number of tokens, samples of sound or frames.
        size: Smallest, typical, largest height and width, pixels.

    Raises:
        OptionError: The row has no such axis, or does not take these sizes.
    """
    asked: dict[str, Triple] = {}
    if batch is not None:
        asked["batch"] = batch
    dims = dynamic_dims(row)
    if length is not None:
        asked[next((name for name in LENGTHS if name in dims), LENGTHS[0])] = length
    if size is not None:
        asked["height"], asked["width"] = zip(*size, strict=True)
    fixed = fixed_size(row)
    if size is not None and fixed is not None and set(size) == {fixed}:
        del asked["height"], asked["width"]
    ranges = dict(default_profile(row).ranges)
    for name, (least, typical, most) in asked.items():
        if name not in dims:
            raise OptionError(
                f"{row.name} has no dynamic {name}. What can be chosen: {', '.join(dims)}."
            )
        try:
            ranges[name] = Range(min=least, typical=typical, max=most, multiple=dims[name].multiple)
            Profile(ranges=ranges).range(dims[name])
        except ValueError as error:
            raise OptionError(f"{row.name}: {name} {least}:{typical}:{most}. {error}") from error
    return Profile(ranges=ranges)


def dynamic_dims(row: ModelSpec) -> dict[str, Dim]:
    """Return the row's dynamic axes by name."""
    return {size.name: size for tensor in row.inputs for size in tensor.shape
            if isinstance(size, Dim)}  # fmt: skip


def fixed_size(row: ModelSpec) -> Size | None:
    """Return the only height and width that the row's network takes, if that is so."""
    height, width = row.inputs[0].shape[-2:]
    if isinstance(row.preprocess, ImagePreprocess) and isinstance(height, int):
        assert isinstance(width, int), "height and width are dynamic together"
        return height, width
    return None


def bind(row: ModelSpec, profile: Profile) -> ModelSpec:
    """Return the row narrowed to a profile: its axes, its image size, its longest text or sound."""
    return replace(
        row,
        inputs=tuple(_bind_tensor(tensor, profile) for tensor in row.inputs),
        preprocess=_bind_preprocess(row, profile),
    )


def _bind_tensor(tensor: TensorSpec, profile: Profile) -> TensorSpec:
    return replace(
        tensor,
        shape=tuple(
            _bind_dim(size, profile) if isinstance(size, Dim) else size for size in tensor.shape
        ),
    )


def _bind_dim(dim: Dim, profile: Profile) -> Dim:
    wanted = profile.range(dim)
    return replace(dim, min=wanted.min, typical=wanted.typical, max=wanted.max)


def _bind_preprocess(row: ModelSpec, profile: Profile) -> Preprocess | None:
    recipe, ranges = row.preprocess, profile.ranges
    if isinstance(recipe, ImagePreprocess) and {"height", "width"} <= ranges.keys():
        return _resized(recipe, (ranges["height"].typical, ranges["width"].typical))
    if isinstance(recipe, TextPreprocess) and "length" in ranges:
        return _shortened(recipe, ranges["length"])
    if isinstance(recipe, VideoPreprocess) and "frames" in ranges:
        return replace(recipe, frames=ranges["frames"].max)
    if isinstance(recipe, WordPreprocess) and "length" in ranges:
        return replace(recipe, max_length=min(recipe.max_length, ranges["length"].max))
    if isinstance(recipe, AudioPreprocess) and "samples" in ranges:
        samples = ranges["samples"]
        return replace(recipe, shortest=samples.min, longest=samples.max)
    return recipe


def _resized(recipe: ImagePreprocess, size: Size) -> ImagePreprocess:
    """Return the recipe for another size: the same part of the picture, where that is defined."""
    if size == recipe.size:
        return recipe
    square = size[0] == size[1] and recipe.size[0] == recipe.size[1]
    resize = None
    if isinstance(recipe.resize, int) and square:
        resize = round(recipe.resize * size[0] / (recipe.size[0] + recipe.unread[0]))
    return replace(recipe, size=size, resize=resize, unread=(0, 0))


def _shortened(recipe: TextPreprocess, length: Range) -> TextPreprocess:
    """Return the recipe for texts of a range of lengths; one length only means padding to it."""
    longest = min(recipe.max_length, length.max)
    return replace(
        recipe,
        max_length=length.max if length.fixed else longest,
        pad_to_max=recipe.pad_to_max or length.fixed,
        roles={
            name: role
            if role.max_length is None
            else replace(role, max_length=min(role.max_length, longest))
            for name, role in recipe.roles.items()
        },
    )


def fixed_axes(row: ModelSpec) -> Mapping[str, int]:
    """Return the axes of a bound row that have one size."""
    return {name: dim.min for name, dim in dynamic_dims(row).items() if dim.min == dim.max}
