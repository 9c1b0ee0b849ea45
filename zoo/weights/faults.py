"""Say in our words what went wrong between here and the Hub.

Errors are told apart by the names of their classes: huggingface_hub brings httpx or httpx2, as its
release goes, and neither needs importing to know what it raised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from zoo.errors import (
    GatedError,
    OfflineError,
    RateLimitError,
    RepoNotFoundError,
    ServerError,
    WeightsError,
)
from zoo.weights.cache import disk_fault
from zoo.weights.retry import Fault

BUSY = {408, 425, 429, 500, 502, 503, 504}
# Where huggingface_hub resumes a file by itself, five times without progress.
_RESUMED = {"ConnectError", "TimeoutException", "RemoteProtocolError"}
_TOKEN = "set HF_TOKEN (https://huggingface.co/settings/tokens) or run `hf auth login`"


class Answered(Exception):
    """An HTTP status that would make huggingface_hub wait by itself, taken from it at once."""

    def __init__(self, status: int, headers: Mapping[str, str], url: str) -> None:
        self.status, self.headers, self.url = status, headers, url
        super().__init__(f"HTTP {status} for {url}")


class Unanswered(Exception):
    """huggingface_hub is about to repeat by itself a request that failed."""


def explain_hub(
    error: Exception, *, endpoint: str, repo: str, name: str, revision: str, cache: Path
) -> Fault:
    """Return what an error on the way to a file of the Hub means and whether to try again.

    Args:
        error: Anything that huggingface_hub raised.
        endpoint: Of the Hub.
        repo: `org/name`.
        name: Of the file, or empty when the repository itself was asked for.
        revision: Branch, tag or commit.
        cache: Folder that was written to.
    """
    what = f"{name or 'the list of files'} of hf:{repo}"
    kinds = {cls.__name__ for link in _chain(error) for cls in type(link).__mro__}
    if "OfflineModeIsEnabled" in kinds:
        return Fault(error=offline(what))
    if "HFValidationError" in kinds:
        return Fault(error=RepoNotFoundError(
            f"{repo!r} cannot be the name of a repository ({_first_line(error)}). "
            "Names look like 'org/name'."))  # fmt: skip
    status, headers = _answer(error)
    if status is not None:
        return _explain_status(error, status, headers, what=what, endpoint=endpoint, repo=repo,
                               name=name, revision=revision)  # fmt: skip
    disk = next(filter(None, (disk_fault(link, cache) for link in _chain(error))), None)
    if disk is not None:
        return Fault(error=disk)
    request = _request(error)
    host = f"{request.url.scheme}://{request.url.netloc.decode()}" if request else endpoint
    fault = explain_transport(error, what, host, kinds)
    if name and request is not None and request.method == "GET" and _RESUMED & kinds:
        return Fault(error=fault.error)
    return fault


def explain_transport(error: Exception, what: str, host: str, kinds: set[str]) -> Fault:
    """Return what an error below HTTP means: name lookup, TLS, timeouts, broken connections."""
    text = " ".join(str(link) for link in _chain(error))
    if "ProxyError" in kinds:
        return Fault(error=OfflineError(
            f"The proxy refused the way to {host} for {what} ({_first_line(error)}). Check "
            "HTTPS_PROXY and NO_PROXY."))  # fmt: skip
    if "SSLError" in kinds or "CERTIFICATE" in text:
        return Fault(error=ServerError(
            f"No trusted connection to {host} for {what}: TLS failed ({_first_line(error)}). Check "
            "the clock and the proxy; behind one that has its own certificate set SSL_CERT_FILE "
            "to it."))  # fmt: skip
    if "gaierror" in kinds or re.search(
        r"name resolution|Name or service|nodename nor servname|getaddrinfo", text
    ):
        return Fault(
            error=OfflineError(
                f"The name of {host} cannot be looked up, and {what} is not in the cache. Check "
                "the network and DNS, or HF_ENDPOINT if you set it."
            ),
            again=True,
        )
    if "ConnectError" in kinds or "ConnectTimeout" in kinds or "ConnectionRefusedError" in kinds:
        return Fault(
            error=OfflineError(
                f"{host} cannot be reached, and {what} is not in the cache ({_first_line(error)}). "
                "Check the network, or HF_ENDPOINT if you set it; run `zoo pull` where there is "
                "network to fill the cache."
            ),
            again=True,
        )
    if {"TimeoutException", "TimeoutError", "Unanswered"} & kinds:
        return Fault(
            error=ServerError(
                f"{host} did not go on sending {what} in time. Try again later, or raise "
                "HF_HUB_DOWNLOAD_TIMEOUT and HF_HUB_ETAG_TIMEOUT (seconds)."
            ),
            again=True,
        )
    if "Consistency check failed" in text or {"IncompleteRead", "RemoteProtocolError"} & kinds:
        return Fault(
            error=ServerError(
                f"{host} ended {what} early or sent more than it announced. Try again; if it stays "
                "so, a proxy in between may cut or change downloads."
            ),
            again=True,
        )
    if "NetworkError" in kinds or "ConnectionError" in kinds:
        return Fault(
            error=ServerError(
                f"The connection to {host} broke while {what} was coming in. Try again."
            ),
            again=True,
        )
    return Fault(
        error=ServerError(
            f"{host} gave an answer for {what} that makes no sense ({type(error).__name__}: "
            f"{_first_line(error)}). If HF_ENDPOINT is set, check that a Hub answers there; a "
            "proxy or a login page may also stand in between."
        ),
        again=True,
    )


def offline(what: str) -> OfflineError:
    """Return the error for a file that is wanted while the network is switched off."""
    return OfflineError(
        f"HF_HUB_OFFLINE is set and {what} is not in the cache. Unset it, or run `zoo pull` once "
        "where there is network."
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait; dates and nonsense count as not said."""
    value = next((headers[key] for key in headers if key.lower() == "retry-after"), "").strip()
    return float(value) if re.fullmatch(r"\d{1,9}", value) else None


def _explain_status(
    error: Exception, status: int, headers: Mapping[str, str], *, what: str, endpoint: str,
    repo: str, name: str, revision: str,
) -> Fault:  # fmt: skip
    code = next((headers[key] for key in headers if key.lower() == "x-error-code"), "")
    said = next((headers[key] for key in headers if key.lower() == "x-error-message"), "")
    reason = f": {said[:200]!r}" if said else ""
    page = f"{endpoint}/{repo}"
    found: WeightsError
    if code == "RevisionNotFound":
        found = RepoNotFoundError(f"hf:{repo} has no revision {revision!r}. See {page}/commits.")
    elif code == "EntryNotFound":
        found = RepoNotFoundError(
            f"hf:{repo} has no file {name!r} at {revision}. See {page}/tree/{revision}."
        )
    elif code == "RepoNotFound":
        found = RepoNotFoundError(
            f"The Hub shows no repository hf:{repo}. Check its name; if it is private, {_TOKEN} "
            "with an account that may read it."
        )
    elif status == 401 or code == "GatedRepo":
        found = GatedError(
            f"The Hub does not give {what} to everyone (HTTP {status}). Accept the licence at "
            f"{page}, then {_TOKEN} with that account."
        )
    elif status == 403:
        found = GatedError(
            f"The Hub refuses {what} (HTTP 403{reason}). Accept the licence at "
            f"{page} if it has one, and check that the token may read it: {_TOKEN}."
        )
    elif status == 404:
        found = RepoNotFoundError(
            f"{endpoint} does not know {what} at {revision} (HTTP 404). Check name and revision at "
            f"{page}."
        )
    elif status == 429:
        found = RateLimitError(
            f"The Hub limits how often this address may ask, and refused {what} (HTTP 429). Wait a "
            f"few minutes; {_TOKEN} for a higher limit."
        )
        return Fault(error=found, again=True, pause=retry_after(headers))
    elif status in BUSY or status >= 500:
        found = ServerError(
            f"The Hub could not give {what} (HTTP {status}). Nothing is wrong here; see "
            "https://status.huggingface.co and try again later."
        )
        pause = retry_after(headers)
        # A server that is down may name any time; it is the rate limit alone that we must obey.
        return Fault(error=found, again=True, pause=None if pause is None else min(pause, 10.0))
    else:
        found = ServerError(
            f"The Hub answered {what} with HTTP {status}, which makes no sense here: "
            f"{_first_line(error)}"
        )
        return Fault(error=found, again=status == 416)
    return Fault(error=found)


def _answer(error: Exception) -> tuple[int | None, Mapping[str, str]]:
    """Return the HTTP status and headers behind an error, if a server answered at all."""
    for link in _chain(error):
        if isinstance(link, Answered):
            return link.status, link.headers
        response: Any = getattr(link, "response", None)
        status = getattr(response, "status_code", None)
        if isinstance(status, int) and status >= 400:
            return status, response.headers
    return None, {}


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _request(error: BaseException) -> Any:  # noqa: ANN401  httpx's or httpx2's, or None
    """Return the request that failed; it need not have gone to the endpoint: large files move."""
    for link in _chain(error):
        with suppress(RuntimeError):  # httpx, of a request that was never made
            request = getattr(link, "request", None)
            if request is not None:
                return request
    return None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return "".join(character for character in text if character.isprintable())[:200]
