"""`zoo embed`: files, folders, lines and columns to vectors that say where they came from."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from zoo.bundle import is_bundle
from zoo.cli.complete import model_names
from zoo.cli.inputs import STDIN, Item, read_items
from zoo.cli.lazy import example
from zoo.cli.models import open_model, spec_of
from zoo.cli.options import opening_options, role_options
from zoo.cli.output import plural
from zoo.errors import InputError, OptionError

if TYPE_CHECKING:
    from zoo.cli.journal import Journal, Record
    from zoo.encoder import Encoder
    from zoo.preprocess import Array

SHOWN = 10  # skipped items that are named; the rest are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `Encoder.batches` is asked for."""

    role: str | None
    prompt: str | None
    prompt_name: str | None
    dims: int | None
    normalize: bool | None
    batch_size: int | None
    on_error: Literal["skip", "raise"]


@click.command(
    "embed",
    short_help="Encode files, lines and columns into a file of vectors.",
    epilog=example(
        "zoo embed all-minilm-l6-v2 notes.txt -o notes.npy",
        'zoo embed all-minilm-l6-v2 --text "to be or not to be" -o line.npy',
        "zoo embed all-minilm-l6-v2 reviews.csv --column body -o reviews.safetensors",
        'zoo embed dinov2-b14 photos/ "scans/**/*.png" -o images.parquet --on-error skip',
        "zoo embed whisper-base recordings/ -o sounds.parquet",
        "zoo embed dist/minilm notes.txt -o notes.npy",
    ),
)
@click.argument("name", metavar="NAME|DIR", shell_complete=model_names)
@click.argument("inputs", nargs=-1)
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path, dir_okay=False),
              help=".npy, .parquet, .safetensors or .jsonl")  # fmt: skip
@click.option("--text", "texts", multiple=True, help="A literal text; may be repeated.")
@click.option("--column", help="Column of CSV, TSV, JSONL and Parquet files to encode.")
@role_options
@click.option("--dims", type=click.IntRange(min=1), help="Cut vectors to this width.")
@click.option("--normalize/--no-normalize", default=None, help="Unit length, or not.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Items a batch, not a budget.")
@opening_options
@click.option("--on-error", type=click.Choice(["raise", "skip"]), default="raise",
              show_default=True, help="What a bad item does.")  # fmt: skip
@click.option("--resume/--restart", default=True, show_default=True,
              help="Go on with an unfinished run, or forget it.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace OUT if it is there.")
def command(
    name: str,
    inputs: tuple[str, ...],
    out: Path,
    texts: tuple[str, ...],
    column: str | None,
    role: str | None,
    prompt: str | None,
    prompt_name: str | None,
    dims: int | None,
    normalize: bool | None,
    batch_size: int | None,
    device: str | None,
    runtime: str | None,
    dtype: str | None,
    weights: str | None,
    on_error: Literal["skip", "raise"],
    resume: bool,
    overwrite: bool,
) -> None:
    """Encode INPUTS with the model NAME, or the bundle in DIR, which needs no torch.

    INPUTS are files, folders (searched for what the model encodes), globs in quotes, or `-` for
    stdin. In a text file, and on stdin, a line is a text, or for a model of images or sounds the
    path of one. CSV, TSV, JSONL and Parquet files need --column. An interrupted run goes on when
    the same command is given again.
    """
    from zoo.cli import writers

    if not inputs and not texts:
        raise click.UsageError("Nothing to encode: give INPUTS or --text.")
    if out.suffix not in writers.WRITERS:
        raise click.UsageError(f"OUT must end in {', '.join(writers.WRITERS)}; got {out.name!r}.")
    if out.exists() and not overwrite:
        raise OptionError(f"{out} is there already. Add --overwrite to replace it.")
    writers.check(out)
    spec = spec_of(name)
    if "pooled" not in spec.outputs:
        raise OptionError(
            f"{spec.name} gives one vector a token, and a file holds one an item. Choose another "
            "model, or call `encode` in Python, which gives an array an item."
        )
    items = read_items(inputs, modality=spec.modality, texts=texts, column=column)
    first = next(items, None)  # wrong inputs show before the model is loaded
    encoder = open_model(name, device=device, dtype=dtype, weights=weights, runtime=runtime)
    options = Options(
        role=role,
        prompt=prompt,
        prompt_name=prompt_name,
        dims=dims,
        normalize=normalize,
        batch_size=batch_size,
        on_error=on_error,
    )
    # a vector of other weights than the model's own must not look like one of its
    facts = {"model": spec.name, "revision": encoder.revision or weights}
    asked = {
        **facts,
        "bundle": name if is_bundle(name) else None,
        "inputs": inputs,
        "texts": texts,
        "column": column,
        "role": role,
        "prompt": prompt,
        "prompt_name": prompt_name,
        "normalize": normalize,
        "runtime": runtime,
        "dtype": dtype,
        "weights": weights,
        "on_error": on_error,
    }
    from zoo.cli.journal import Journal

    part = out.with_name(out.name + ".part")
    total = None
    once = STDIN in inputs or any(_is_pipe(name) for name in inputs)  # cannot be read twice
    if sys.stderr.isatty() and not once:
        again = read_items(inputs, modality=spec.modality, texts=texts, column=column)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the items themselves are read once more
            total = sum(1 for _ in again)
    everything = _chain(first, items)
    width = dims or encoder.dim
    with Journal(part, asked=asked, width=width, restart=not resume) as journal:
        try:
            _run(encoder, everything, journal, options, total)
            _report_skipped(journal)
            writers.write(out, journal, facts)
        except BaseException as error:
            if journal.items and not isinstance(error, OptionError):
                click.echo(
                    f"\n{plural(journal.items, 'item')} kept in {part}. Give the same command "
                    "again to go on, or add --restart to begin anew.",
                    err=True,
                )
            raise
        click.echo(f"Wrote {plural(journal.count, 'vector')} of width {width} to {out}", err=True)


def _is_pipe(name: str) -> bool:
    try:
        return Path(name).is_fifo()
    except OSError:  # a name that cannot be
        return False


def _chain(first: Item | None, rest: Iterator[Item]) -> Iterator[Item]:
    if first is not None:
        yield first
    yield from rest


def _run(
    encoder: Encoder, items: Iterator[Item], journal: Journal, options: Options, total: int | None
) -> None:
    """Encode what is left, and put each batch into the journal as soon as it has run."""
    begun: dict[int, Record] = {}  # read, but not yet encoded: some windows at most
    start = journal.items
    if start:
        click.echo(f"Going on after {plural(start, 'item')}.", err=True)
    with _bar(start, total) as bar:
        try:
            for batch in encoder.batches(
                _values(items, journal, begun),
                output="pooled",  # a file has one vector a row
                role=options.role,
                prompt=options.prompt,
                prompt_name=options.prompt_name,
                dims=options.dims,
                normalize=options.normalize,
                batch_size=options.batch_size,
                on_error=options.on_error,
                done=journal.done,
            ):
                journal.append([_entry(begun.pop(index), result) for index, result in batch])
                bar.update(len(batch))
        except InputError as error:
            if error.index is None:
                raise
            raise InputError(_item(begun[error.index]).blame(error.reason)) from error


def _values(items: Iterator[Item], journal: Journal, begun: dict[int, Record]) -> Iterator[object]:
    """Yield what is to be encoded, making sure that what is done already is still the same."""
    earlier = journal.records()
    for index, item in enumerate(items):
        if index not in journal.done:
            record = {"index": index, "source": item.source, "row": item.row}
            begun[index] = {**record, "sha256": item.sha256()}
        elif not _is_same(item, before := next(earlier)):
            raise _changed(before, journal)
        yield item.value
    for before in earlier:
        raise _changed(before, journal)


def _is_same(item: Item, record: Record) -> bool:
    return (item.source, item.row) == (record["source"], record["row"]) and (
        isinstance(item.value, Path) or item.sha256() == record["sha256"]
    )


def _changed(record: Record, journal: Journal) -> OptionError:
    return OptionError(
        f"The inputs have changed since {journal.folder} was begun: item {record['index']} was "
        f"{record['source']!r}. Add --restart to begin anew."
    )


def _entry(record: Record, result: Any) -> tuple[Record, Array | None]:  # noqa: ANN401  as streamed
    if isinstance(result, InputError):
        return {**record, "error": result.reason}, None
    return record, result


def _item(record: Record) -> Item:
    """Return the item of a record, without its value, for messages."""
    return Item(value="", source=record["source"], row=record["row"])


def _bar(start: int, total: int | None) -> Any:  # noqa: ANN401  tqdm has no types of its own
    """Return a progress bar on stderr for people, and a silent one for pipes."""
    from tqdm import tqdm

    return tqdm(initial=start, total=total, unit=" items", disable=not sys.stderr.isatty())


def _report_skipped(journal: Journal) -> None:
    """Name on stderr what was left out."""
    skipped = journal.items - journal.count
    if not skipped:
        return
    click.echo(f"Skipped {skipped:,} of {plural(journal.items, 'item')}:", err=True)
    shown = 0
    for record in journal.records():
        if "error" in record and shown < SHOWN:
            shown += 1
            click.echo(f"  {_item(record).blame(record['error'])}", err=True)
    if skipped > shown:
        click.echo(f"  and {skipped - shown:,} more", err=True)
