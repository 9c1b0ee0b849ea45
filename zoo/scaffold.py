"""Write a complete plugin distribution. No torch."""

from __future__ import annotations

import contextlib
import importlib.util
import keyword
import os
import re
import shutil
import sys
import uuid
from importlib import metadata
from pathlib import Path

from zoo.errors import OptionError
from zoo.weights.cache import disk_errors

TEMPLATE = Path(__file__).parent / "templates" / "plugin"
SUFFIX = ".tmpl"
WORD = "example-plugin"
RENAMED = {"gitignore": ".gitignore"}  # a dotfile here would apply to our own repository
LONGEST = 64  # letters
_TAKEN = sys.stdlib_module_names | {"conftest", "reference", "test_rows"}
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def new_plugin(name: str, folder: Path) -> list[Path]:
    """Write a distribution: package, key map, row, network, tests, CI.

    Args:
        name: Of the distribution and its model: `acme-encoder`.
        folder: Where it is written; must not exist.

    Returns:
        The files, relative to the folder.

    Raises:
        OptionError: The name cannot be one, or the folder is there already.
        DiskError: The disk is full or refuses.
    """
    _check_name(name)
    module = name.replace("-", "_")
    if folder.exists():
        raise OptionError(f"{folder} is there already. Name another place with --out.")
    written = []
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:12]}")
    with disk_errors(folder):
        try:
            for source in sorted(TEMPLATE.rglob(f"*{SUFFIX}")):
                target = _target(source.relative_to(TEMPLATE), module)
                text = source.read_text(encoding="utf-8")
                text = text.replace(WORD, name).replace(WORD.replace("-", "_"), module)
                (temporary / target).parent.mkdir(parents=True, exist_ok=True)
                (temporary / target).write_text(text, encoding="utf-8")
                written.append(target)
            os.rename(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return written


def _check_name(name: str) -> None:
    """Refuse a name that pip or Python would not take, or that would hide something."""
    module = name.replace("-", "_")
    if not _NAME.fullmatch(name) or keyword.iskeyword(module) or len(name) > LONGEST:
        near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:LONGEST].strip("-")
        good = _NAME.fullmatch(near) and not keyword.iskeyword(near)
        raise OptionError(
            f"{name!r} cannot be the name of a distribution. Use small letters, digits and single "
            f"hyphens, beginning with a letter, {LONGEST} at most: "
            f"{near if good else 'acme-encoder'}."
        )
    if module in _TAKEN or importlib.util.find_spec(module) is not None:
        raise OptionError(
            f"There is a module {module!r} already; it and a plugin {name!r} would hide one "
            "another. Choose another name, or uninstall what brings it."
        )
    with contextlib.suppress(metadata.PackageNotFoundError):
        metadata.distribution(name)
        raise OptionError(
            f"{name!r} is installed already, and pip would replace it. Choose another name, or "
            "uninstall it."
        )


def _target(source: Path, module: str) -> Path:
    """Return where a file of the template is written."""
    parts = [part.replace(WORD.replace("-", "_"), module) for part in source.parts]
    last = parts[-1].removesuffix(SUFFIX)
    return Path(*parts[:-1], RENAMED.get(last, last))
