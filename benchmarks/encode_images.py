"""Images per second: zoo.encode(paths) against timm with its own transform and a DataLoader.

Both run the same vit-s16 at 224 with the same live random weights, on the same JPEG files of about
one megapixel, turn by turn in one process. Run it on an idle machine:

    python benchmarks/encode_images.py
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from references import allow_torchvision
from safetensors.torch import save_file
from torch import nn

import zoo
from zoo.encoder import Encoder
from zoo.nn.live import make_live

MODEL = "vit-s16"
SHAPES = ((866, 1155), (1155, 866), (1000, 1000), (800, 1250), (1024, 1024), (720, 1280))
WORKERS = (0, 2)

Vectors = NDArray[np.float32]


def make_photos(folder: Path, number: int) -> list[Path]:
    """Write JPEG files with the smooth shapes, edges and grain of photographs."""
    random = np.random.default_rng(0)
    grain = random.normal(0, 5, (1300, 1300, 1)).astype(np.float32)
    paths = []
    for index in range(number):
        height, width = SHAPES[index % len(SHAPES)]
        pixels = np.zeros((height, width, 3), np.float32)
        for cells, strength in ((5, 0.5), (24, 0.3), (110, 0.2)):
            coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
            kind = Image.Resampling.NEAREST if cells == 24 else Image.Resampling.BICUBIC
            pixels += strength * np.asarray(coarse.resize((width, height), kind), np.float32)
        pixels += grain[:height, :width]
        path = folder / f"{index:04}.jpg"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=85)
        paths.append(path)
    return paths


class Files(torch.utils.data.Dataset[torch.Tensor]):
    """Paths, opened and transformed as timm's examples do.

    Args:
        paths: Of the images.
        transform: timm's.
    """

    def __init__(self, paths: Sequence[Path], transform: Callable[[Any], torch.Tensor]) -> None:
        self.paths = paths
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.transform(Image.open(self.paths[index]).convert("RGB"))


def timm_encoder(model: nn.Module, files: Files, batch: int, workers: int) -> Callable[[], Vectors]:
    """Return what a careful user of timm writes."""

    @torch.inference_mode()
    def encode() -> Vectors:
        loader = torch.utils.data.DataLoader(files, batch_size=batch, num_workers=workers)
        return torch.cat([model(pixels) for pixels in loader]).numpy()

    return encode


def timed(encode: Callable[[], Vectors], number: int) -> tuple[float, Vectors]:
    """Return images per second and the vectors."""
    start = time.perf_counter()
    vectors = encode()
    return number / (time.perf_counter() - start), vectors


def main() -> None:
    """Measure, print, and exit with 1 if the vectors differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--n", type=int, default=500, help="number of images")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--batch", type=int, default=32, help="timm's batch size")
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    _schemas = allow_torchvision()  # before timm, which imports torchvision
    import timm
    import timm.data

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = make_photos(folder, options.n)
        # timm 1.0.31; num_classes=0 gives the pooled vector
        reference = timm.create_model("vit_small_patch16_224.augreg_in21k_ft_in1k", num_classes=0)
        make_live(reference)
        save_file(reference.state_dict(), folder / "model.safetensors")
        encoder = zoo.load(MODEL, weights=folder / "model.safetensors")
        assert isinstance(encoder, Encoder), "one tower"
        transform = timm.data.create_transform(**timm.data.resolve_model_data_config(reference))
        files = Files(paths, transform)
        ways: dict[str, Callable[[], Vectors]] = {"zoo": lambda: encoder.encode(paths)}
        for workers in WORKERS:
            ways[f"timm, {workers} workers"] = timm_encoder(
                reference.eval(), files, options.batch, workers
            )

        rates: dict[str, list[float]] = {way: [] for way in ways}
        vectors: dict[str, Vectors] = {}
        for _ in range(options.rounds):
            for way, encode in ways.items():
                rate, vectors[way] = timed(encode, len(paths))
                rates[way].append(rate)
        megapixels = statistics.mean(np.prod(Image.open(path).size) for path in paths) / 1e6
        megabytes = statistics.mean(path.stat().st_size for path in paths) / 1e6

    medians = {way: statistics.median(values) for way, values in rates.items()}
    best = max(rate for way, rate in medians.items() if way != "zoo")
    difference = float(
        max(np.abs(vectors["zoo"] - value).max() for way, value in vectors.items() if way != "zoo")
    )
    report = {
        "model": MODEL,
        "images": options.n,
        "megapixels": round(megapixels, 3),
        "megabytes": round(megabytes, 3),
        "threads": options.threads,
        "images_per_second": {way: round(rate, 2) for way, rate in medians.items()},
        "all_rounds": {way: [round(rate, 2) for rate in values] for way, values in rates.items()},
        "ratio": round(medians["zoo"] / best, 3),
        "largest_difference": difference,
        "largest_value": float(np.abs(vectors["zoo"]).max()),
        "torch": torch.__version__,
        "timm": timm.__version__,
    }
    if options.json:
        print(json.dumps(report))
    else:
        print(f"{options.n} JPEG files, {megapixels:.2f} megapixels and {megabytes:.2f} MB each")
        for way, rate in medians.items():
            print(f"{way:16} {rate:7.2f} images/s")
        print(f"zoo / timm's best  {report['ratio']:.3f}")
        print(f"largest difference {difference:.2e} (values up to {report['largest_value']:.2f})")
    if difference > 1e-4:
        sys.exit("The vectors differ.")


if __name__ == "__main__":
    main()
