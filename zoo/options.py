"""What a model can be asked for when it encodes."""

from __future__ import annotations

from typing import get_args

from zoo.errors import OptionError
from zoo.pipeline import OnError
from zoo.spec import EncoderSpec, OutputName


def check_options(
    spec: EncoderSpec,
    *,
    output: OutputName,
    dims: int | None,
    batch_size: int | None,
    on_error: OnError,
) -> None:
    """Refuse what a model cannot do, before it reads an item; arguments as `Encoder.encode` has.

    Raises:
        OptionError: Says what it can do.
    """
    if output not in spec.outputs:
        raise OptionError(f"{spec.name} gives {', '.join(spec.outputs)}; not {output!r}.")
    if dims is not None and dims not in spec.matryoshka:
        allowed = ", ".join(map(str, spec.matryoshka))
        raise OptionError(
            f"{spec.name} can be cut to {allowed}; not to {dims}."
            if allowed
            else f"{spec.name} was not trained to be cut: dims={dims} would lose what it knows. "
            "Leave dims out, or choose a Matryoshka model."
        )
    if batch_size is not None and (not hasattr(batch_size, "__index__") or batch_size < 1):
        raise OptionError(f"batch_size={batch_size!r} is no whole number of 1 or more.")
    if on_error not in get_args(OnError):
        raise OptionError(f"on_error={on_error!r} is none of {', '.join(get_args(OnError))}.")
