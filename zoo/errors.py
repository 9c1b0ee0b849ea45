"""Every error that a user can meet, in one tree.

ZooError                      catch this one to catch them all; exit code 1
|- UnknownModelError          no model has that name
|- AmbiguousNameError         two distributions claim that name
|- InputError                 an item that cannot be encoded, with its index
|- OptionError                an option that this model or machine cannot honour
|- MissingExtraError          an optional package is not installed
|- PluginError                a plugin broke the contract
|- ExportError                a network that does not become the graph that was asked for
|- BundleError                a bundle that is broken, changed, too new or not proven
|- ParityError                outputs differ from what was proven; exit code 3
`- WeightsError               files could not be brought here, verified or read
   |- GatedError              401 or 403: a licence to accept or a token to set
   |- RepoNotFoundError       404: repository, revision or file
   |- RateLimitError          429
   |- ServerError             5xx, or an answer that makes no sense
   |- OfflineError            no network and not in the cache
   |- DiskError               no space or no permission
   |- IntegrityError          bytes differ from the pinned or remembered sha256
   |- FormatError             a file that is not what its name says
   |- UnsafePickleError       a pickle that would run code
   |- KeyMapError             tensors missing, left over or of another shape
   `- UnsupportedCheckpointError  a repository whose architecture is not known here
"""

from __future__ import annotations


class ZooError(Exception):
    """Base of every error raised on purpose; its text says what to do."""

    exit_code = 1


class UnknownModelError(ZooError, LookupError):
    """No model, alias, space or namespace has this name."""


class AmbiguousNameError(ZooError, LookupError):
    """More than one distribution claims this name; ask for `name@distribution`."""


class InputError(ZooError, ValueError):
    """An item that cannot be encoded.

    Attributes:
        index: Position of the item in what was handed in, or None outside a batch.
        reason: Why, without the index.
    """

    def __init__(self, reason: str, *, index: int | None = None) -> None:
        self.index = index
        self.reason = reason
        super().__init__(reason if index is None else f"Item {index}: {reason}")

    def at(self, index: int) -> InputError:
        """Return the same error, naming the item's index."""
        error = InputError(self.reason, index=index)
        error.__cause__ = self.__cause__
        return error


class OptionError(ZooError, ValueError):
    """An option that this model, this machine or this installation cannot honour."""


class MissingExtraError(ZooError, ImportError):
    """An optional package is needed; the text gives the pip line."""

    def __init__(self, need: str, *, extra: str) -> None:
        super().__init__(
            f"{need} is not installed. Install it with: "
            f'python -m pip install "encoder-zoo[{extra}]"'
        )


class PluginError(ZooError):
    """A plugin broke the contract; the text names its distribution."""


class ExportError(ZooError):
    """A network that does not become the graph that was asked for."""


class BundleError(ZooError):
    """A bundle that is broken, changed, too new or not proven; nothing of it is run."""


class ParityError(ZooError):
    """Outputs differ from what they must be."""

    exit_code = 3


class WeightsError(ZooError, OSError):
    """Files could not be brought here, verified or read."""


class GatedError(WeightsError):
    """The Hub answered 401 or 403."""


class RepoNotFoundError(WeightsError):
    """The Hub answered 404 for a repository, a revision or a file."""


class RateLimitError(WeightsError):
    """The Hub answered 429, also after waiting."""


class ServerError(WeightsError):
    """The Hub answered 5xx or nonsense, also after trying again."""


class OfflineError(WeightsError):
    """There is no network, or it is switched off, and the file is not in the cache."""


class DiskError(WeightsError):
    """The disk is full or the cache folder cannot be written."""


class IntegrityError(WeightsError):
    """Bytes differ from the pinned or the remembered sha256."""


class FormatError(WeightsError):
    """A file is not what its name says: broken header, JSON or archive."""


class UnsafePickleError(WeightsError):
    """A pickle asks for more than tensors; it is never executed."""


class KeyMapError(WeightsError):
    """A checkpoint's tensors do not cover the architecture exactly."""


class UnsupportedCheckpointError(WeightsError):
    """A repository's architecture is not one that any installed plugin knows."""


class SkippedItemsWarning(UserWarning):
    """Some items were skipped because `on_error="skip"` asked for it.

    Attributes:
        errors: One InputError an item that was skipped, in order.
    """

    def __init__(self, errors: list[InputError]) -> None:
        self.errors = errors
        shown = "; ".join(str(error) for error in errors[:3])
        more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
        super().__init__(f"Skipped {len(errors)} item(s). {shown}{more}")
