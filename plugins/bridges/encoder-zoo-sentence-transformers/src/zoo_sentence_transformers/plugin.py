"""The plugin's door. Imports neither torch nor sentence-transformers."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import hookimpl
from zoo.hookspecs import Namespace
from zoo_sentence_transformers.namespace import SentenceTransformers


@hookimpl
def zoo_namespaces() -> Iterable[Namespace]:
    """Return `st:`."""
    return [SentenceTransformers()]
