"""Cards as Markdown with the Hub's front matter, as a page, and their index. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.cards.card import ModelCard, size
from zoo.errors import MissingExtraError
from zoo.spec import WeightsSpec

EXTRA = "cards"
INDEX = "README.md"
MARK = "Written by `zoo card --all --out model_cards`; do not edit them by hand."


def markdown(card: ModelCard) -> str:
    """Return a card as a file of the Hub: YAML front matter, then Markdown.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    from huggingface_hub import ModelCard as HubCard, ModelCardData

    body = _environment().get_template("card.md.jinja").render(
        card=card,
        weights=_weights(card.row.weights),
        shapes=_shapes,
        versions=_versions,
        size=size,
        link=_link,
    )  # fmt: skip
    data = ModelCardData(**card.front)
    return str(
        HubCard(f"---\n{data.to_yaml()}\n---\n\n{body.strip()}\n", ignore_metadata_errors=False)
    )


def page(cards: Sequence[ModelCard]) -> str:
    """Return cards, of the towers of a joint space or of one model, as a page that stands alone.

    Raises:
        MissingExtraError: jinja2 or markdown-it-py is not installed.
    """
    try:
        from markdown_it import MarkdownIt
        from markupsafe import Markup
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "markdown-it-py", extra=EXTRA) from error
    texts = [markdown(card).split("\n---\n", 1)[1] for card in cards]
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render("\n\n".join(texts))
    template = _environment(escape=True).get_template("page.html.jinja")
    html: str = template.render(name=cards[0].row.name, body=Markup(body))
    return html


def index(cards: Sequence[ModelCard]) -> str:
    """Return the table of all cards."""
    lines = [
        "# Model cards",
        "",
        MARK,
        "",
        "ONNX to eager: the processor's time that the graph takes of eager PyTorch's.",
        "",
        "| model | encodes | width | parameters | GFLOPs | ONNX to eager | licence | year |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for card in cards:
        row = card.row
        flops = f"{card.measured.flops / 1e9:,.2f}" if card.measured.flops else ""
        ratio = f"{card.latency.ratio:.2f}" if card.latency is not None else ""
        lines.append(
            f"| [{row.name}]({row.name}.md) | {row.modality} | {row.dim} | {row.params:,} "
            f"| {flops} | {ratio} | {row.license} | {row.year} |"
        )
    return "\n".join(lines) + "\n"


def _environment(*, escape: bool = False) -> Any:  # noqa: ANN401  jinja2's, imported late
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ModuleNotFoundError as error:
        raise MissingExtraError("jinja2", extra=EXTRA) from error
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=escape,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _cell
    return environment


def _cell(text: str) -> str:
    """Return a text that a table's cell can hold."""
    return " ".join(text.split()).replace("|", "\\|")


def _link(text: str, url: str) -> str:
    return f"[{text}]({url})" if url else text


def _weights(weights: WeightsSpec) -> str:
    """Return where the files are, with the commit that is loaded."""
    if weights.source == "none":
        return f"none: {weights.reason}"
    page = f"https://huggingface.co/{weights.repo}" if weights.repo else ""
    if weights.revision is None:
        return _link(weights.source, page)
    return (
        f"{_link(weights.source, page and f'{page}/tree/{weights.revision}')} at {weights.revision}"
    )


def _shapes(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} ({', '.join(map(str, shape))})" for name, shape in shapes.items())


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
