"""One door to every encoder: `zoo.load("dinov2-b14").encode(images)`."""

from __future__ import annotations

from zoo.api import info, list_models as list, load, maxsim, open_encoder as open, register, resolve
from zoo.errors import (
    AmbiguousNameError,
    BundleError,
    ExportError,
    InputError,
    MissingExtraError,
    OptionError,
    ParityError,
    PluginError,
    UnknownModelError,
    WeightsError,
    ZooError,
)
from zoo.hookspecs import hookimpl

__version__ = "0.1.0"

__all__ = [
    "AmbiguousNameError",
    "BundleError",
    "ExportError",
    "InputError",
    "MissingExtraError",
    "OptionError",
    "ParityError",
    "PluginError",
    "UnknownModelError",
    "WeightsError",
    "ZooError",
    "__version__",
    "hookimpl",
    "info",
    "list",
    "load",
    "maxsim",
    "open",
    "register",
    "resolve",
]
