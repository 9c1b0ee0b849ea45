"""A few photographs, sounds and sentences that come with the package; see LICENSES.md."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

_HERE = Path(str(files(__name__)))


def images() -> list[Path]:
    """Return the paths of the sample photographs, sorted by name."""
    return sorted((_HERE / "images").glob("*.jpg"))


def sounds() -> list[Path]:
    """Return the paths of the sample sounds, sorted by name."""
    return sorted(path for path in (_HERE / "sounds").iterdir() if path.suffix in (".flac", ".wav"))


def texts() -> list[str]:
    """Return the sample sentences."""
    return (_HERE / "texts.txt").read_text(encoding="utf-8").splitlines()
