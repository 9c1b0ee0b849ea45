"""Try again, a few times and not too fast, where that can help."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from time import sleep
from typing import TypeVar

from zoo.errors import RateLimitError, WeightsError

logger = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS = 4
FIRST_PAUSE = 0.5  # seconds; doubled each time
LONGEST_PAUSE = 60.0  # seconds that a server may ask for before we give up instead


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What went wrong, in our words.

    Attributes:
        error: For the user.
        again: Whether trying again can help.
        pause: Seconds that the server asked for, or None.
    """

    error: WeightsError
    again: bool = False
    pause: float | None = None


def retried(action: Callable[[], T], explain: Callable[[Exception], Fault]) -> T:
    """Return what the action returns, trying again after transient faults.

    Args:
        action: May raise anything.
        explain: Turns what it raised into our words; a WeightsError passes through unexplained.

    Raises:
        WeightsError: The last fault, when trying again cannot help or has not helped.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return action()
        except WeightsError:
            raise
        except Exception as error:  # the one place where other libraries' errors are translated
            fault = explain(error)
            if not fault.again or attempt == ATTEMPTS:
                raise fault.error from error
            if fault.pause is not None and fault.pause > LONGEST_PAUSE:
                raise RateLimitError(
                    f"{fault.error} The server asks to wait {fault.pause:.0f} s; run this again "
                    "after that."
                ) from error
            pause = fault.pause
            if pause is None:
                pause = FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)
            logger.info("%s Trying again in %.1f s (%d of %d).", fault.error, pause, attempt,
                        ATTEMPTS - 1)  # fmt: skip
            sleep(pause)
    raise AssertionError("the last attempt returns or raises")
