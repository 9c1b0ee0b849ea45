"""What installed plugins cost `zoo list`: 0, 10 and 50 distributions of 5 models each.

    python benchmarks/plugins.py [--rounds 9] [--json]

The distributions are installed by pip into a folder of their own. Seconds are processor time of the
whole process, medians of runs that alternate; none of the plugins imports more than the zoo does.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.distributions import install, models, wheel

COUNTS = (0, 10, 50)
MODELS = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sites = {count: site(Path(folder), count) for count in COUNTS}
        times: dict[int, list[float]] = {count: [] for count in COUNTS}
        for _ in range(options.rounds + 1):  # the first writes byte code
            for count, path in sites.items():
                times[count].append(seconds(path))
    found = {count: statistics.median(measured[1:]) for count, measured in times.items()}
    if options.json:
        print(json.dumps(found))
        return
    print(f"{'plugins':>8}{'zoo list':>12}{'added':>10}")
    for count, median in found.items():
        print(f"{count:>8}{median * 1e3:>10.0f}ms{(median - found[0]) * 1e3:>8.0f}ms")


def site(folder: Path, count: int) -> Path:
    """Install that many distributions; return where."""
    place = folder / f"site{count}"
    place.mkdir()
    names = [f"dummy-{index}" for index in range(count)]
    wheels = [
        wheel(folder, name, models(*(f"{name}-model-{i}" for i in range(MODELS)))) for name in names
    ]
    if wheels:
        install(wheels, place)
    return place


def seconds(path: Path) -> float:
    """Return the processor time of `zoo list`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "zoo", "list", "dummy*"],
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "Warning" not in done.stderr
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
