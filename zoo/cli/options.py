"""Options that several commands take, in the same words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., object])

weights_option = click.option(
    "--weights", help="A folder or file in place of the model's own, or `random`."
)


def role_options(command: Command) -> Command:
    """Add what may stand before each item: `role`, `prompt` and `prompt_name`."""
    for option in (
        click.option("--prompt-name", help="Name of a stored prompt; see `zoo info NAME`."),
        click.option("--prompt", help="Literal text put before each item."),
        click.option("--role", help="query or document."),
    ):  # the last stands first in the help
        command = option(command)
    return command


def opening_options(command: Command) -> Command:
    """Add the arguments of `zoo.cli.models.open_model`."""
    for option in (
        weights_option,
        click.option("--dtype", help="float32, bfloat16, ... Default float32."),
        click.option(
            "--runtime", help="Of a bundle: onnx for the graph itself. Default its engine, if any."
        ),
        click.option(
            "--device", help="cpu, cuda, cuda:1, mps. Default cpu, of an engine the first GPU."
        ),
    ):
        command = option(command)
    return command
