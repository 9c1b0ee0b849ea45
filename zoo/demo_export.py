"""The demo's second half: the same encoder as a bundle, proven, and run without torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from zoo import samples
from zoo.bundle import open_bundle
from zoo.demo import ROUNDING, Result, Say
from zoo.errors import BundleError, ZooError
from zoo.manifest import Engine, Manifest
from zoo.runtime.rebuild import add_engine
from zoo.targets import ONNX, TENSORRT_RTX, EngineOptions, runtime_of, target_of
from zoo.weights.cache import cache_root, exclusive

# What an export takes beyond torch, and what brings it.
NEEDED = ("onnx", "onnxscript", "onnxruntime")
PIP_LINE = 'python -m pip install "encoder-zoo[export,cpu]"'
RTX_PIP_LINE = 'python -m pip install "encoder-zoo[rtx]"'
_RTX = ("tensorrt_rtx", "tensorrt_rtx_bindings")

# Run by a second Python. There `import torch` fails, as on a machine without it.
_WITHOUT_TORCH = """
import json, sys, time
sys.modules["torch"] = None
start = time.perf_counter()
import zoo
encoder = zoo.open(sys.argv[1], runtime="onnx")
texts = json.load(sys.stdin)
encoder.encode(texts[0])
first = time.perf_counter() - start
vectors = encoder.encode(texts)
print(json.dumps({"seconds": first, "similarity": encoder.similarity(vectors, vectors).tolist()}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A bundle that was made, or found in the cache.

    Attributes:
        path: Its folder.
        manifest: What it says of itself.
        seconds: That making it took, its proof included.
    """

    path: Path
    manifest: Manifest
    seconds: float

    def size(self, name: str) -> int:
        """Return the bytes of a file of the bundle; of the graph, with its weights beside it."""
        return sum(facts.size for file, facts in self.manifest.files.items()
                   if file.startswith(name))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A bundle at work in a Python without torch.

    Attributes:
        seconds: From `import zoo` to the first vector.
        similarity: Matrix of cosines of the sample sentences.
    """

    seconds: float
    similarity: list[list[float]]


def missing() -> list[str]:
    """Return what an export needs and is not installed."""
    return [name for name in NEEDED if find_spec(name) is None]


def has_rtx() -> bool:
    """Whether TensorRT-RTX is installed, which builds engines without a GPU."""
    return any(find_spec(name) is not None for name in _RTX)


def export_demo(text: Result) -> Exported:
    """Export the text encoder to ONNX and prove it, or find that in the cache.

    Raises:
        ZooError: It cannot be exported, or was not proven.
    """
    start = time.perf_counter()
    path = target_of(ONNX).bundle(
        text.model, precision="float32", weights=text.weights, seed=0, progress=False
    )
    return _exported(path, start)


def engine_demo(onnx: Exported) -> tuple[Exported, Engine, str | None]:
    """Build an engine of the same graph, or find it in the cache.

    Returns:
        The bundle with the engine; what its manifest says of it; and why it cannot run here, or
        None if it can.

    Raises:
        ZooError: It cannot be built.
    """
    start = time.perf_counter()
    place = cache_root() / "demo" / f"{onnx.path.name}-{TENSORRT_RTX}"
    with exclusive(place.with_name(place.name + ".lock")):
        if not _is_whole(place):
            target = target_of(TENSORRT_RTX)
            add_engine(open_bundle(onnx.path), place, target, EngineOptions(progress=False))
    exported = _exported(place, start)
    engine = exported.manifest.engine
    if engine is None:
        raise BundleError(f"{place} holds no engine. Remove it and try again.")
    return exported, engine, runtime_of(TENSORRT_RTX).obstacle(engine, None)


def run_without_torch(path: Path, text: Result, say: Say = lambda _line: None) -> Ran:
    """Run a bundle's graph in a second Python in which torch cannot be imported.

    Args:
        path: The bundle.
        text: What eager torch gave for the sample sentences.
        say: Told what is run before it begins.

    Raises:
        ZooError: It fails there, or gives other vectors.
    """
    say("A second Python, in which torch cannot be imported, runs the bundle ...")
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, str(path)],
        input=json.dumps(samples.texts()),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    if done.returncode:
        raise ZooError(f"The bundle {path} does not run without torch: {done.stderr[-500:]}")
    ran = Ran(**json.loads(done.stdout))
    worst = max(
        abs(one - other)
        for line, wanted in zip(ran.similarity, text.similarity, strict=True)
        for one, other in zip(line, wanted, strict=True)
    )
    if worst > ROUNDING:
        raise ZooError(
            f"The bundle {path} gives cosines that differ from torch's by {worst:.1e}. Report this "
            "with the output of `zoo doctor`."
        )
    return ran


def _is_whole(place: Path) -> bool:
    """Whether a bundle is there; one that has been changed is removed."""
    if not place.exists():
        return False
    try:
        open_bundle(place)
    except BundleError:
        shutil.rmtree(place)
        return False
    return True


def _exported(path: Path, start: float) -> Exported:
    bundle = open_bundle(path)
    return Exported(path=path, manifest=bundle.manifest, seconds=time.perf_counter() - start)
