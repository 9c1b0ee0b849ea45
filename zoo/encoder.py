"""An encoder as the user holds it: items in, vectors out, whatever runs underneath."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, cast

from zoo import pipeline, similarity
from zoo.backends import Backend
from zoo.blocks import block_outputs
from zoo.encoded import Encoded
from zoo.errors import InputError, OptionError, SkippedItemsWarning
from zoo.items import is_single
from zoo.options import check_options
from zoo.outputs import joined, results_of
from zoo.pipeline import OnError
from zoo.preprocess import Array, Ask, Batch, Preprocessor
from zoo.progress import Progress, Reporter
from zoo.spec import EncoderSpec, OutputName

if TYPE_CHECKING:
    from torch import Tensor, nn


class Encoder:
    """A loaded model.

    Args:
        spec: Its row, or what its bundle says.
        preprocessor: Raw items to arrays.
        backend: What runs it.
        revision: Commit of its weights, where they have one.
        reopen: Makes it again, in this process or another, where its backend cannot be copied.

    Attributes:
        spec: Its row, or what its bundle says.
        preprocessor: Raw items to arrays.
        backend: What runs it.
        revision: Commit of its weights, or None.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        *,
        preprocessor: Preprocessor,
        backend: Backend,
        revision: str | None = None,
        reopen: Callable[[], Encoder] | None = None,
    ) -> None:
        self.spec = spec
        self.backend = backend
        self.revision = revision
        self.preprocessor = preprocessor
        self._reopen = reopen

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """Return what a copy is made of: a bundle's is opened, and its files hashed, again."""
        return super().__reduce_ex__(protocol) if self._reopen is None else (self._reopen, ())

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
        """Run a batch made by `preprocess`; keeps gradients.

        Raises:
            InputError: It is no batch, or lacks an input.
        """
        names = [spec.name for spec in self.spec.inputs]
        if not isinstance(batch, Mapping) or not batch.keys() >= set(names):
            raise InputError(
                f"A batch is a mapping of {', '.join(names)} to arrays, as `preprocess(items)` "
                "makes it. To have vectors of items, use `encode(items)`."
            )
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
        return block_outputs(self.module, self.spec.name, indices, lambda: self(batch))

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
            [items] if is_single(items, self.spec.modality) else list(items),
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
        output: OutputName | None = None,
        role: str | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        dims: int | None = None,
        normalize: bool | None = None,
        batch_size: int | None = None,
        convert_to_tensor: bool = False,
        device: str | Sequence[str] | None = None,
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
            device: Devices to spread batches over, or one.
            on_error: `skip` leaves bad items out, with one SkippedItemsWarning that lists them.
            progress: True for a bar on stderr, or a callable that is told (done, total) when a
                batch has run.

        Returns:
            float32 numpy, or what `output` and `convert_to_tensor` say; (0, D) for an empty list.

        Raises:
            InputError: An item is bad; names its index and why.
            OptionError: The model cannot do what an option asks for.
        """
        output = output or self.spec.outputs[0]
        single = is_single(items, self.spec.modality)
        total = 1 if single else len(items) if isinstance(items, Sized) else None
        found: dict[int, Any] = {}
        with Reporter(progress) as report:
            for batch in self.batches(
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
            ):
                found.update(batch)
                report(len(found), total)
        rows: list[Any] = []
        skipped: list[InputError] = []
        for index in sorted(found):
            row = found.pop(index)
            (skipped if isinstance(row, InputError) else rows).append(row)
        if skipped:
            warnings.warn(SkippedItemsWarning(skipped), stacklevel=2)
        if single and rows:
            return rows[0]
        return joined(rows, output, width=dims or self.dim, as_tensor=convert_to_tensor)

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
        output: OutputName | None = None,
        role: str | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        dims: int | None = None,
        normalize: bool | None = None,
        batch_size: int | None = None,
        convert_to_tensor: bool = False,
        device: str | Sequence[str] | None = None,
        on_error: OnError = "raise",
    ) -> Iterator[tuple[int, Any]]:
        """Yield (index, result) in order while items are read a window at a time.

        Memory stays bounded however long the iterator is. Options are those of `encode`; with
        `on_error="skip"` a bad item yields (index, InputError).
        """
        return pipeline.in_order(
            self.batches(
                items,
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
            )
        )

    def batches(
        self,
        items: Iterable[Any],
        *,
        output: OutputName | None = None,
        role: str | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        dims: int | None = None,
        normalize: bool | None = None,
        batch_size: int | None = None,
        convert_to_tensor: bool = False,
        device: str | Sequence[str] | None = None,
        on_error: OnError = "raise",
        done: Container[int] = frozenset(),
    ) -> Iterator[list[tuple[int, Any]]]:
        """Yield what `stream` does a batch at a time, as soon as it has run: not quite in order.

        Inside a window of some hundred items those of one length run together, the longest first;
        all of a window come before any of the next. Options are those of `stream`. Indices that are
        `done`, by an earlier run, are left out; the results of the others are then, to the bit,
        what that run would have given.
        """
        output = output or self.spec.outputs[0]
        check_options(self.spec, output=output, dims=dims, batch_size=batch_size, on_error=on_error)
        norm = self.spec.normalize if normalize is None else normalize
        devices = [device] if isinstance(device, str) else device
        backends = [self.backend] if devices is None else self.backend.replicas(devices)
        if not backends:
            raise OptionError("device=[] names no device. Name at least one, such as ['cpu'].")
        lanes = self.backend.lanes() if devices is None else ()

        def runner(backend: Backend) -> pipeline.Run:
            def run(batch: Batch) -> Sequence[Any]:
                encoded = backend.run(batch, normalize=norm, pooled_only=output == "pooled")
                return results_of(
                    backend,
                    encoded,
                    output,
                    dims=dims,
                    normalize=norm,
                    as_tensor=convert_to_tensor,
                )

            return run

        return pipeline.run_batches(
            items,
            preprocessor=self.preprocessor,
            ask=Ask(role=role, prompt=prompt, prompt_name=prompt_name),
            runs=[runner(backend) for backend in backends],
            budget=backends[0].budget(),
            lanes=[runner(lane) for lane in lanes],
            lane_budget=lanes[0].budget() if lanes else 0,
            batch_size=batch_size,
            on_error=on_error,
            done=done,
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
        return similarity.cosine(one, other)
