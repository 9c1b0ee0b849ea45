"""Bring a checkpoint's files here, verify them, remember them and read them. No torch at import.

`fetch_weights` and `fetch_first` are what loading uses, `open_checkpoint` reads what they return,
`open_repo` shows a repository's small files to the plugins, `pull` is `zoo pull`.
"""

from __future__ import annotations

from zoo.weights.fetch import Fetched, fetch_first, fetch_weights, local_weights, pull
from zoo.weights.readers import Checkpoint, open_checkpoint
from zoo.weights.repo import open_repo

__all__ = [
    "Fetched",
    "fetch_weights",
    "fetch_first",
    "local_weights",
    "pull",
    "Checkpoint",
    "open_checkpoint",
    "open_repo",
]
