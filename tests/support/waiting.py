"""Waiting in tests: for something to become true, never for a time to pass."""

import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: seconds: what a wait may take on a busy machine with two cores, and more than the longest deadline of any part under
#: test (the module gives a connect to the hub 30 s); a wait that ends sooner costs nothing
PATIENCE = 180.0

#: seconds: between the first two looks, and at most; each look at a cluster costs its server some milliseconds too
_FIRST, _LONGEST = 0.03, 0.3

_NOT_YET = (AssertionError, OSError, KeyError, subprocess.SubprocessError)


def eventually(look: Callable[[], T], seconds: float = PATIENCE, what: str = "") -> T:
    """The first true answer; the last answer or error is shown when none came in time.

    Between two looks there is ever more time, and at least twice of what one takes: who looks keeps no processor busy.
    """
    ends = time.monotonic() + seconds
    pause = _FIRST
    last: object = None
    while True:
        begun = time.monotonic()
        try:
            value = look()
        except _NOT_YET as error:
            last = error
        else:
            if value:
                return value
            last = value
        now = time.monotonic()
        if now > ends:
            raise AssertionError(f"not within {seconds:g} s: {what or look} (last: {last!r})")
        time.sleep(min(max(pause, 2 * (now - begun)), 2.0))
        pause = min(pause * 1.3, _LONGEST)
