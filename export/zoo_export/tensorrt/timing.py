"""The timing cache: what TensorRT measured of kernels, kept for the next build. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo.errors import OptionError
from zoo.runtime.engines import Gpu
from zoo.runtime.trt_module import Vendor
from zoo.weights.cache import cache_root, exclusive, write_whole


def timing_file(vendor: Vendor, gpu: Gpu | None, asked: Path | None) -> Path | None:
    """Return where a build keeps its timings; None for TensorRT-RTX, which takes none.

    Raises:
        OptionError: A file was asked for, and the package has no use for it.
    """
    if vendor.rtx:
        if asked is not None:
            raise OptionError(f"{vendor.title} times nothing, so it has no --timing-cache.")
        return None
    assert gpu is not None, "TensorRT builds on a GPU"
    name = re.sub(r"[^a-z0-9]+", "-", f"{vendor.version}-{gpu.name}-{gpu.device}".lower())
    return asked or cache_root() / "timings" / f"{name}.bin"


@contextmanager
def timings(config: Any, path: Path | None) -> Iterator[None]:  # noqa: ANN401  no types
    """Give a build the timings of earlier ones, and keep what it adds.

    One build at a time uses a file. Timings of another version or GPU are left aside: TensorRT
    refuses them, and the build starts with none.

    Args:
        config: Of the builder.
        path: The file; need not exist. None for no cache.
    """
    if path is None:
        yield
        return
    with exclusive(path.with_name(path.name + ".lock")):
        blob = path.read_bytes() if path.is_file() else b""
        cache = config.create_timing_cache(blob)
        if cache is None or not config.set_timing_cache(cache, False):
            cache = config.create_timing_cache(b"")
            config.set_timing_cache(cache, False)
        yield
        write_whole(path, bytes(config.get_timing_cache().serialize()))
