"""A few lines that use a row, as it is meant to be used. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator

from zoo.spec import ModelSpec, TextPreprocess

ITEMS = {
    "image": '["photo.jpg", "other.png"]',
    "text": '["a sentence", "another one"]',
    "audio": '["speech.wav", "other.flac"]',
    "video": '["clip.mp4", "other.mp4"]',
}
QUERIES, DOCUMENTS = '["how do bees find home?"]', '["Bees know the sun.", "Honey is sweet."]'


def example_of(row: ModelSpec) -> str:
    """Return Python code."""
    return "\n".join(["import zoo", "", *_lines(row)])


def _lines(row: ModelSpec) -> Iterator[str]:
    name = re.split("[/:#]", row.name.rstrip("/"))[-1]  # of a folder or a repository its last part
    # What no repository holds is fetched by the reader.
    file = "my-file" if row.params and row.weights.source == "none" else ""
    argument, option = (f', weights="{file}"', f" --weights {file}") if file else ("", "")
    yield f'encoder = zoo.load("{row.name}"{argument})'
    if getattr(row.config, "fitted", True) is False:
        yield f"encoder.fit(my_{row.modality}s)  # as many as there are, once"
        yield f'encoder.save("my-{name}")  # zoo.load("my-{name}") from then on'
    roles = row.preprocess.roles if isinstance(row.preprocess, TextPreprocess) else {}
    if roles.get("query") != roles.get("document"):
        shape = f"(n, {row.dim}) a text" if row.pooling == "none" else f"(n, {row.dim})"
        yield f"queries = encoder.encode_query({QUERIES})"
        yield f"documents = encoder.encode_document({DOCUMENTS})  # {shape}"
        yield "print(encoder.similarity(queries, documents))"
    else:
        yield f"vectors = encoder.encode({ITEMS[row.modality]})  # (n, {row.dim})"
        yield "print(encoder.similarity(vectors, vectors))"
    if row.space is not None and {"image", "text"} <= set(row.space.towers):
        yield ""
        yield f'space = zoo.load("{row.space.name}")  # with the other tower'
        yield 'print(space.classify("photo.jpg", ["a dog", "a cat"]))'
    if row.export == "torch":
        yield ""
        yield f"# zoo export {row.name}{option} --out dist/{name}"
        yield f'encoder = zoo.open("dist/{name}")  # the same, without torch'
