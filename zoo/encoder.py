"""An encoder as the user holds it: items in, vectors out, whatever runs underneath."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from zoo import pipeline, similarity
from zoo.backends import Backend
from zoo.encoded import Encoded
from zoo.errors import InputError, MissingExtraError, OptionError, SkippedItemsWarning
from zoo.pipeline import OnError
from zoo.preprocess import Array, Ask, Batch, Preprocessor
from zoo.spec import Card, Modality

if TYPE_CHECKING:
    from torch import Tensor, nn

Output = Literal["pooled", "tokens", "pyramid", "sparse"]
Progress = bool | Callable[[int, int | None], None]


class Encoder:
    """A loaded model.

    Args:
        spec: Its row, or what its bundle says.
        preprocessor: Raw items to arrays.
        backend: What runs it.
        revision: Commit of its weights, where they have one.

    Attributes:
        spec: Its row, or what its bundle says.
        preprocessor: Raw items to arrays.
        backend: What runs it.
        revision: Commit of its weights, or None.
    """

    def __init__(
        self,
        spec: Card,
        *,
        preprocessor: Preprocessor,
        backend: Backend,
        revision: str | None = None,
    ) -> None:
        self.spec = spec
        self.backend = backend
        self.revision = revision
        self.preprocessor = preprocessor

    def __repr__(self) -> str:
        return f"Encoder({self.spec.name!r}, dim={self.spec.dim}, backend={self.backend.name!r})"

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self.spec.dim

    @property
    def module(self) -> nn.Module:
        """The network: an ordinary, trainable nn.Module.

        Raises:
            OptionError: The backend runs an artefact, not a module.
        """
        module = getattr(self.backend, "module", None)
        if module is None:
            raise OptionError(
                f"The backend {self.backend.name!r} runs an artefact; it has no nn.Module. "
                f"Use zoo.load({self.spec.name!r})."
            )
        return cast("nn.Module", module)

    def __call__(self, batch: Mapping[str, Array | Tensor]) -> Encoded:
        """Run a batch made by `preprocess`; keeps gradients."""
        forward = getattr(self.backend, "forward", None)
        if forward is None:
            return self.backend.run(dict(batch), normalize=self.spec.normalize)  # type: ignore[arg-type]  # arrays, for an artefact
        return cast(Encoded, forward(batch))

    def blocks(self, batch: Mapping[str, Array | Tensor], indices: Sequence[int]) -> list[Tensor]:
        """Return the outputs of chosen blocks, as they leave the block, prefix tokens included.

        Args:
            batch: Made by `preprocess`.
            indices: Of blocks; negative ones count from the end.

        Returns:
            One tensor an index: (B, P + N, W) for a transformer, (B, C, H, W) for a CNN's stage.
        """
        blocks = list(cast("Iterable[nn.Module]", getattr(self.module, "blocks", ())))
        if not blocks:
            raise OptionError(f"{self.spec.name} has no blocks to look into.")
        for index in indices:
            if not -len(blocks) <= index < len(blocks):
                raise OptionError(
                    f"{self.spec.name} has {len(blocks)} blocks; there is no {index}."
                )
        taken: dict[int, Tensor] = {}
        handles = [
            blocks[index].register_forward_hook(
                lambda _module, _inputs, output, key=index: taken.__setitem__(key, output)
            )
            for index in set(indices)
        ]
        try:
            self(batch)
        finally:
            for handle in handles:
                handle.remove()
        return [taken[index] for index in indices]

    def preprocess(
        self,
        items: Any,  # noqa: ANN401  every modality has its own kinds of item
        *,
        role: str | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
    ) -> Batch:
        """Turn items into one batch of arrays, the network's inputs by name.

        Raises:
            InputError: An item is bad; names its index.
        """
        samples = self.preprocessor.prepare(
            [items] if _is_single(items, self.spec.modality) else list(items),
            Ask(role=role, prompt=prompt, prompt_name=prompt_name),
        )
        good = []
        for index, sample in enumerate(samples):
            if isinstance(sample, InputError):
                raise sample.at(index)
            good.append(sample)
        if not good:
            raise InputError("There is nothing to preprocess: the list is empty.")
        return self.preprocessor.collate(good)

    def encode(
        self,
        items: Any,  # noqa: ANN401  every modality has its own kinds of item
        *,
        output: Output | None = None,
        role: str | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        dims: int | None = None,
        normalize: bool | None = None,
        batch_size: int | None = None,
        convert_to_tensor: bool = False,
        device: Sequence[str] | None = None,
        on_error: OnError = "raise",
        progress: Progress = False,
    ) -> Any:  # noqa: ANN401  array, tensor or list, as `output` says
        """Encode one item, a list or an iterator; order is kept.

        Args:
            items: For images a path, bytes, PIL image, array or tensor; for text a str. One item
                gives one vector (D,), several give (N, D).
            output: `pooled` vectors, `tokens` (a list of (N_i, W)), `pyramid` (a list of tuples
                of (C, H, W)), `sparse` (a scipy CSR array (N, D)); by default vectors, or tokens
                where a model has no vector.
            role: `query` or `document`, for models that treat them differently.
            prompt: Literal text put before each item.
            prompt_name: Name of a stored prompt.
            dims: Cut vectors to this width and re-normalise; only for models trained so.
            normalize: Scale to unit L2 norm; by default as the model was trained.
            batch_size: Items a batch; by default as many as a budget of tokens or pixels allows.
            convert_to_tensor: Return torch tensors instead of numpy arrays.
            device: Devices to spread batches over.
            on_error: `skip` leaves bad items out, with one SkippedItemsWarning that lists them.
            progress: True for a bar on stderr, or a callable that is told (done, total).

        Returns:
            float32 numpy, or what `output` and `convert_to_tensor` say; (0, D) for an empty list.

        Raises:
            InputError: An item is bad; names its index and why.
            OptionError: The model cannot do what an option asks for.
        """
        output = output or self.spec.outputs[0]
        single = _is_single(items, self.spec.modality)
        total = 1 if single else len(items) if isinstance(items, Sized) else None
        rows: list[Any] = []
        skipped: list[InputError] = []
        with _reporter(progress) as report:
            for done, (_, row) in enumerate(
                self.stream(
                    [items] if single else items,
                    output=output,
                    role=role,
                    prompt=prompt,
                    prompt_name=prompt_name,
                    dims=dims,
                    normalize=normalize,
                    batch_size=batch_size,
                    convert_to_tensor=convert_to_tensor,
                    device=device,
                    on_error=on_error,
                ),
                start=1,
            ):
                (skipped if isinstance(row, InputError) else rows).append(row)
                report(done, total)
        if skipped:
            warnings.warn(SkippedItemsWarning(skipped), stacklevel=2)
        if output == "sparse":
            sparse = _scipy_sparse()
            empty = sparse.csr_array((0, self.dim), dtype=np.float32)
            return sparse.vstack(rows, format="csr") if rows else empty
        if output != "pooled":
            return rows[0] if single and rows else rows
        if single and rows:
            return rows[0]
        return self._stack(rows, width=dims or self.dim, as_tensor=convert_to_tensor)

    def encode_query(self, items: Any, **options: Any) -> Any:  # noqa: ANN401  as encode
        """Encode as queries: `encode(items, role="query", ...)`."""
        return self.encode(items, role="query", **options)

    def encode_document(self, items: Any, **options: Any) -> Any:  # noqa: ANN401  as encode
        """Encode as documents: `encode(items, role="document", ...)`."""
        return self.encode(items, role="document", **options)

    def stream(
        self,
        items: Iterable[Any],
        *,
        output: Output | None = None,
        role: str | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        dims: int | None = None,
        normalize: bool | None = None,
        batch_size: int | None = None,
        convert_to_tensor: bool = False,
        device: Sequence[str] | None = None,
        on_error: OnError = "raise",
    ) -> Iterator[tuple[int, Any]]:
        """Yield (index, result) in order while items are read a window at a time.

        Memory stays bounded however long the iterator is. Options are those of `encode`; with
        `on_error="skip"` a bad item yields (index, InputError).
        """
        output = output or self.spec.outputs[0]
        self._check(output, dims, batch_size)
        norm = self.spec.normalize if normalize is None else normalize
        backends = [self.backend] if device is None else self.backend.replicas(device)
        if not backends:
            raise OptionError("device=[] names no device. Name at least one, such as ['cpu'].")
        lanes = self.backend.lanes() if device is None else ()

        def runner(backend: Backend) -> pipeline.Run:
            def run(batch: Batch) -> Sequence[Any]:
                encoded = backend.run(batch, normalize=norm, pooled_only=output == "pooled")
                return _rows(backend, encoded, output, dims, norm, convert_to_tensor)

            return run

        return pipeline.stream(
            items,
            preprocessor=self.preprocessor,
            ask=Ask(role=role, prompt=prompt, prompt_name=prompt_name),
            runs=[runner(backend) for backend in backends],
            budget=backends[0].budget(),
            lanes=[runner(lane) for lane in lanes],
            lane_budget=lanes[0].budget() if lanes else 0,
            batch_size=batch_size,
            on_error=on_error,
        )

    def fit(self, items: Iterable[Any]) -> Encoder:
        """Learn from raw items, for encoders such as `tfidf` and `bovw`; returns the encoder.

        Raises:
            OptionError: This encoder is not one that is fitted.
            InputError: An item is bad, or there are too few.
        """
        from zoo.fitting import fit_encoder

        fit_encoder(self, items)
        return self

    def save(self, folder: str | Path) -> None:
        """Write a fitted encoder; `zoo.load(folder)` makes it again.

        Raises:
            OptionError: It has not been fitted, or is not one that is.
        """
        from zoo.fitting import save_encoder

        save_encoder(self, Path(folder))

    def similarity(self, one: Any, other: Any) -> Array:  # noqa: ANN401  arrays or lists of them
        """Return the matrix of similarities between two sets of what `encode` gave."""
        if self.spec.pooling == "none":
            return similarity.maxsim(one, other)
        return similarity.cosine(np.asarray(one), np.asarray(other))

    def _check(self, output: Output, dims: int | None, batch_size: int | None) -> None:
        if output not in self.spec.outputs:
            raise OptionError(
                f"{self.spec.name} gives {', '.join(self.spec.outputs)}; not {output!r}."
            )
        if dims is not None and dims not in self.spec.matryoshka:
            allowed = ", ".join(map(str, self.spec.matryoshka))
            raise OptionError(
                f"{self.spec.name} can be cut to {allowed}; not to {dims}."
                if allowed
                else f"{self.spec.name} was not trained to be cut: dims={dims} would lose what "
                "it knows. Leave dims out, or choose a Matryoshka model."
            )
        if batch_size is not None and batch_size < 1:
            raise OptionError(f"batch_size={batch_size} is less than 1.")

    def _stack(self, rows: list[Any], *, width: int, as_tensor: bool) -> Any:  # noqa: ANN401
        if as_tensor:
            import torch

            return torch.stack(rows) if rows else torch.empty(0, width)
        return np.stack(rows) if rows else np.empty((0, width), dtype=np.float32)


def _rows(
    backend: Backend,
    encoded: Encoded,
    output: Output,
    dims: int | None,
    norm: bool,
    as_tensor: bool,
) -> Sequence[Any]:
    """Cut a batch's record into one value a sample."""
    convert: Callable[[Any], Any] = _as_tensor if as_tensor else backend.numpy
    if output == "pooled":
        if encoded.pooled is None:
            raise OptionError("This model gives one vector a token: use output='tokens'.")
        pooled = convert(encoded.pooled)
        if dims is not None:
            pooled = pooled[:, :dims]
            if norm:
                pooled = pooled / (pooled**2).sum(-1, keepdims=True).clip(1e-24) ** 0.5
        return cast("Sequence[Any]", pooled)
    if output == "sparse":
        assert encoded.pooled is not None, "a row that lists sparse vectors has pooled ones"
        sparse = _scipy_sparse()
        return [sparse.csr_array(row[None]) for row in backend.numpy(encoded.pooled)]
    if output == "tokens":
        assert encoded.tokens is not None, "a row that lists tokens has a net that gives them"
        tokens = convert(encoded.tokens)
        if encoded.mask is None:
            return cast("Sequence[Any]", tokens)
        mask = convert(encoded.mask)
        return [row[keep] for row, keep in zip(tokens, mask, strict=True)]
    assert encoded.pyramid is not None, "a row that lists a pyramid has a net that gives it"
    levels = [convert(level) for level in encoded.pyramid]
    return list(zip(*levels, strict=True))


def _scipy_sparse() -> Any:  # noqa: ANN401  a module without types
    try:
        from scipy import sparse
    except ModuleNotFoundError as error:
        raise MissingExtraError("scipy, which holds sparse vectors,", extra="classic") from error
    return sparse


def _as_tensor(value: Any) -> Tensor:  # noqa: ANN401  a backend's own array
    """Return a tensor as it is, a runtime's array as a tensor of the same memory."""
    import torch

    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, torch.Tensor):
        return value
    return torch.utils.dlpack.from_dlpack(value)


def _is_single(items: object, modality: Modality) -> bool:
    """Whether `items` is one item: a string, path, bytes, image, sound or array.

    A clip is an array of four axes; several images are one, too.
    """
    if isinstance(items, str | bytes | bytearray | memoryview | Path | Mapping):
        return True
    if isinstance(items, tuple) and len(items) == 2:  # a sound and its rate
        return hasattr(items[0], "ndim") and isinstance(items[1], int | np.integer)
    ndim = getattr(items, "ndim", None)
    if isinstance(ndim, int):
        return ndim <= (4 if modality == "video" else 3)
    return not isinstance(items, Iterable)


class _reporter:
    """Tell progress to nobody, to a callable, or to a bar on stderr."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bar: Any = None

    def __enter__(self) -> Callable[[int, int | None], None]:
        if callable(self._progress):
            return self._progress
        if not self._progress:
            return lambda _done, _total: None
        from tqdm import tqdm

        self._bar = tqdm(unit=" items", leave=False)
        return self._advance

    def _advance(self, done: int, total: int | None) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
