"""What the checks look at: a record of this installation, and how it is found out. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from glob import escape, glob
from importlib.metadata import PackageNotFoundError, distribution, distributions, requires
from pathlib import Path

from zoo import machine
from zoo.bundle import read_manifest
from zoo.errors import ZooError
from zoo.frozen import FrozenMap
from zoo.machine import GpuState
from zoo.manifest import Engine
from zoo.plugins import normal

OURS = "encoder-zoo"
# Files that say what a package was built for, without importing it.
_TORCH_VERSION = "torch/version.py"
_ONNXRUNTIME_BUILD = "onnxruntime/capi/build_and_package_info.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEngine:
    """An engine in a bundle.

    Attributes:
        path: The bundle.
        engine: What its manifest says.
        asked: Whether the user named the bundle; the others are in the cache.
    """

    path: Path
    engine: Engine
    asked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What is installed and what it would run on.

    Attributes:
        packages: Name of each installed distribution, lower case with hyphens, to its version.
        torch_cuda: CUDA version that torch is built for, as 13.0; None for a build without.
        onnxruntime_cuda: The same of ONNX Runtime.
        driver_cuda: Highest CUDA version that the driver takes, as 13020; None without a driver.
        gpus: As nvidia-smi lists them.
        engines: In the cache, and in the bundle that was named.
    """

    packages: Mapping[str, str] = FrozenMap()
    torch_cuda: str | None = None
    onnxruntime_cuda: str | None = None
    driver_cuda: int | None = None
    gpus: tuple[GpuState, ...] = ()
    engines: tuple[FoundEngine, ...] = ()


def installation(asked: Path | None = None) -> Installation:
    """Find out what is installed here.

    Args:
        asked: A bundle that the user asks about.

    Raises:
        BundleError: It is none.
    """
    return Installation(
        packages=installed(),
        torch_cuda=built_for("torch", _TORCH_VERSION, "cuda"),
        onnxruntime_cuda=built_for("onnxruntime-gpu", _ONNXRUNTIME_BUILD, "cuda_version"),
        driver_cuda=machine.driver_cuda(),
        gpus=machine.gpus(),
        engines=(*_engine_of(asked), *cached_engines()),
    )


def installed() -> dict[str, str]:
    """Return every installed distribution and its version."""
    found: dict[str, str] = {}
    for one in distributions():
        name = one.metadata["Name"]
        if name:  # a folder that an uninstall left behind has none
            found.setdefault(normal(name), one.version)
    return found


def built_for(package: str, file: str, variable: str) -> str | None:
    """Return a string that a package's build has written into one of its modules.

    Args:
        package: Distribution.
        file: Of the module, below the folder of packages.
        variable: That is assigned there.
    """
    try:
        path = Path(str(distribution(package).locate_file(file)))
        text = path.read_text(encoding="utf-8")
    except (PackageNotFoundError, OSError):
        return None
    found = re.search(rf"^{variable}\b[^=\n]*=\s*['\"]([^'\"]+)['\"]", text, flags=re.MULTILINE)
    return found[1] if found else None


def cached_engines() -> tuple[FoundEngine, ...]:
    """Return the engines in the cache; what cannot be read is no engine."""
    from zoo.weights.cache import cache_root

    found = []
    for kind in ("bundles", "engines"):
        # unlike Path's, this glob passes over folders that may not be read
        for place in sorted(glob(str(Path(escape(str(cache_root())), kind, "*")))):
            try:
                engine = read_manifest(Path(place)).engine
            except ZooError:
                continue
            if engine is not None:
                found.append(FoundEngine(path=Path(place), engine=engine))
    return tuple(found)


def missing_extras(
    packages: Iterable[str], requirements: Iterable[str] | None = None
) -> dict[str, tuple[str, ...]]:
    """Return the extras that are not whole, each with the distributions that it lacks.

    Args:
        packages: That are installed.
        requirements: As the metadata of this distribution lists them; by default as installed.
    """
    if requirements is None:
        try:
            requirements = requires(OURS) or ()
        except PackageNotFoundError:
            requirements = ()
    there = {normal(name) for name in packages}
    lacks: dict[str, list[str]] = {}
    for line in requirements:
        extra = re.search(r"extra\s*==\s*['\"]([\w.-]+)['\"]", line)
        name = re.match(r"[\w.-]+", line)
        if extra and name and normal(name[0]) not in {*there, OURS}:
            lacks.setdefault(extra[1], []).append(normal(name[0]))
    return {extra: tuple(dict.fromkeys(names)) for extra, names in lacks.items()}


def pip_lines(packages: Iterable[str], lacks: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return what installs each extra that is not whole.

    ONNX Runtime's builds overwrite one another, so that one must go before the other comes; the
    build for a GPU also serves the processor.

    Args:
        packages: That are installed.
        lacks: Extra to the distributions that it lacks.
    """
    lines = {}
    for extra, names in lacks.items():
        if set(names) == {"onnxruntime"} and "onnxruntime-gpu" in packages:
            continue
        line = f'python -m pip install "{OURS}[{extra}]"'
        if "onnxruntime-gpu" in names and "onnxruntime" in packages:
            line = f"python -m pip uninstall -y onnxruntime && {line}"
        lines[extra] = f"{line}  # {', '.join(names)}"
    return lines


def _engine_of(asked: Path | None) -> tuple[FoundEngine, ...]:
    if asked is None:
        return ()
    engine = read_manifest(asked).engine
    return () if engine is None else (FoundEngine(path=asked, engine=engine, asked=True),)
