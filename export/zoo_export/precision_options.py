"""The options of `zoo export` that say in which precision a graph computes. No torch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

from zoo.manifest import PrecisionPlan
from zoo.targets import PRECISIONS

R = TypeVar("R")


def precision_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add the options to a command, which gets them as `precision`, `keep` and `fix`."""

    @functools.wraps(command)
    def with_options(**given: Any) -> R:  # noqa: ANN401  click's
        precision = PRECISIONS[given.pop("precision")]
        if precision == "float32" and (given["keep"] or given["fix"]):
            raise click.UsageError("--keep-fp32 and --fix belong to --precision fp16 or bf16.")
        return command(**given, precision=precision)

    for option in (
        click.option("--fix", is_flag=True, help="If fp16 or bf16 is refused, look for the modules "
                     "that must stay in float32."),
        click.option("--keep-fp32", "keep", multiple=True, metavar="PATTERN", help="Modules that "
                     "stay in float32, as 'blocks.*.mlp'. Any number of times."),
        click.option("--precision", type=click.Choice(list(PRECISIONS)), default="fp32",
                     show_default=True, help="Norms, softmax and pools stay in float32."),
    ):  # fmt: skip
        with_options = option(with_options)
    return cast("Callable[..., R]", with_options)


def plan_line(plan: PrecisionPlan) -> str:
    """Return how many operators stay in float32, and why, as one line."""
    reasons = "; ".join(f"{len(names)} {reason}" for reason, names in plan.float32.items())
    return f"{len(plan.operators)} operators stay in float32: {reasons}"
