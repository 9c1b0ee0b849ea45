"""The options of `zoo export` that an engine has and a graph has not. No torch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import click

from zoo.targets import ONNX, EngineOptions, HardwareCompatibility

R = TypeVar("R")
_MIB = 1 << 20


class TargetType(click.ParamType[str]):
    """The name of a target: first-party, or a plugin's."""

    name = "TARGET"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the name, if there is such a target."""
        from zoo.registry import default_registry

        targets = default_registry().targets()
        if value not in targets:
            self.fail(f"{value!r} is none of {', '.join(targets)}.", param, ctx)
        return str(value)


class NumbersType(click.ParamType[tuple[int, ...]]):
    """Numbers with commas between them."""

    name = "N,N"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the numbers."""
        if isinstance(value, tuple):  # the default
            return value
        words = [word.strip() for word in str(value).split(",")]
        if not all(word.isdecimal() for word in words):
            self.fail(f"{value!r} must be numbers, as in 80,86.", param, ctx)
        return tuple(map(int, words))


def engine_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add the options to a command that has `target`; it gets them as `options`."""

    @functools.wraps(command)
    def with_options(**given: Any) -> R:  # noqa: ANN401  click's
        target = given["target"]
        options = EngineOptions(
            devices=tuple(f"sm_{number}" for number in given.pop("sm")),
            batches=given.pop("profiles"),
            workspace=_bytes(given.pop("workspace")),
            timing_cache=given.pop("timing_cache"),
            version_compatible=given.pop("version_compatible"),
            hardware_compatible=cast(HardwareCompatibility, given.pop("hardware_compatible")),
            refit=given.pop("refit"),
            tf32=given.pop("tf32"),
        )
        if target == ONNX and options != EngineOptions():
            raise click.UsageError(
                "A graph has no options of engines. Add --to tensorrt or --to tensorrt-rtx."
            )
        return command(**given, options=options)

    for option in reversed(_OPTIONS):
        with_options = option(with_options)
    return with_options


def _bytes(mebibytes: int | None) -> int | None:
    return None if mebibytes is None else mebibytes * _MIB


_OPTIONS = (
    click.option("--sm", type=NumbersType(), default=(), metavar="N,...",
                 help="RTX engine: GPUs that it is for. Default 80,86,89,120."),
    click.option("--profiles", type=NumbersType(), default=(), metavar="N,...",
                 help="Engine: largest batch of each of several profiles; the last is --batch's."),
    click.option("--workspace", type=click.IntRange(min=1), metavar="MIB",
                 help="Engine: most scratch memory."),
    click.option("--timing-cache", type=click.Path(path_type=Path, dir_okay=False),
                 help="TensorRT engine: in place of the one in the cache folder."),
    click.option("--version-compatible", is_flag=True,
                 help="TensorRT engine: newer versions take it too."),
    click.option("--hardware-compatible", type=click.Choice(get_args(HardwareCompatibility)),
                 default="none", help="TensorRT engine: other GPUs take it too."),
    click.option("--refit", is_flag=True, help="Engine: its weights can be replaced."),
    click.option("--tf32", is_flag=True,
                 help="Engine: may round float32 factors to 11 bits."),
)  # fmt: skip
