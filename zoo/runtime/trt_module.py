"""TensorRT and TensorRT-RTX: two packages with one interface, told apart here alone. No torch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from zoo.errors import MissingExtraError, OptionError
from zoo.targets import TENSORRT, TENSORRT_RTX

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A package that builds and runs engines.

    Attributes:
        target: `tensorrt` or `tensorrt-rtx`.
        title: For people.
        module: The package; it has no types.
        version: Of the package.
        extra: That brings it, and the bindings of CUDA.
    """

    target: str
    title: str
    module: Any
    version: str
    extra: str

    @property
    def rtx(self) -> bool:
        """Whether engines are made for named GPUs, and may be made where there is none."""
        return self.target == TENSORRT_RTX


# Target: title, packages in order of preference, extra. The wheels of the bindings alone work too.
_PACKAGES = {
    TENSORRT: ("TensorRT", ("tensorrt", "tensorrt_bindings"), "gpu"),
    TENSORRT_RTX: ("TensorRT-RTX", ("tensorrt_rtx", "tensorrt_rtx_bindings"), "rtx"),
}


def vendor_of(target: str, load: Callable[[str], Any] = import_module) -> Vendor:
    """Return the package behind a target.

    Args:
        target: `tensorrt` or `tensorrt-rtx`.
        load: Imports a module by its name.

    Raises:
        MissingExtraError: It is not installed.
        OptionError: It is installed and broken.
    """
    title, names, extra = _PACKAGES[target]
    for name in names:
        try:
            module = load(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise OptionError(f"{title} is installed, but {error.name} is missing.") from error
            continue
        except (ImportError, OSError, RuntimeError) as error:  # a library that it needs
            raise OptionError(
                f"{title} is installed, but cannot be loaded: {error}. See `zoo doctor`."
            ) from error
        return Vendor(
            target=target,
            title=title,
            module=module,
            version=str(module.__version__),
            extra=extra,
        )
    raise MissingExtraError(title, extra=extra)


def listener(module: Any) -> Any:  # noqa: ANN401  the package has no types
    """Return a logger of the package that keeps its errors, in `errors`, and prints nothing."""
    wrong = (module.ILogger.INTERNAL_ERROR, module.ILogger.ERROR)
    warning = module.ILogger.WARNING

    class Listener(module.ILogger):  # type: ignore[misc]  # of a package without types
        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:  # noqa: ANN401
            if severity in wrong:
                self.errors.append(" ".join(message.split()))
            elif severity == warning:
                _log.debug("%s", message)

    return Listener()
