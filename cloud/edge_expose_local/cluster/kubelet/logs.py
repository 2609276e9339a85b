"""What pods/log answers: which lines of a container's log, and how they are shown. Pure but for reading files.

Logs are kept with a time before each line, as a real kubelet keeps them.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ...http.messages import Request
from ..kinds.errors import Cause, invalid
from ..kinds.field_errors import wrong

_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) ")


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What is asked for; None: no limit."""

    previous: bool
    timestamps: bool
    follow: bool
    tail: int | None
    limit_bytes: int | None
    since: str
    """The first time that counts, "" for all."""


def _number(request: Request, name: str) -> int | None:
    text = request.arg(name)
    return int(text) if text.lstrip("-").isdigit() else None


def options_of(request: Request, pod: str) -> LogOptions:
    """Read the options; raises 422 for those that make no sense."""
    errors: list[Cause] = []
    tail, limit, seconds = (_number(request, name) for name in ("tailLines", "limitBytes", "sinceSeconds"))
    if tail is not None and tail < 0:
        errors.append(wrong("tailLines", tail, "must be greater than or equal to 0"))
    if limit is not None and limit < 1:
        errors.append(wrong("limitBytes", limit, "must be greater than 0"))
    since = request.arg("sinceTime")
    if since and seconds is not None:
        why = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
        errors.append(Cause("FieldValueForbidden", why, "[]"))
    elif seconds is not None and seconds < 1:
        errors.append(wrong("sinceSeconds", seconds, "must be greater than 0"))
    if errors:
        raise invalid("", "PodLogOptions", pod, errors)
    if seconds is not None:
        begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)
        since = begin.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return LogOptions(request.flag("previous"), request.flag("timestamps"), request.flag("follow"), tail, limit, since)


def shown(line: bytes, *, timestamps: bool) -> bytes:
    """One line as it is answered."""
    return line if timestamps else _STAMP.sub(b"", line, count=1)


def select(data: bytes, options: LogOptions) -> bytes:
    """The lines that are asked for."""
    lines: Iterable[bytes] = data.splitlines(keepends=True)
    if options.since:
        begin = options.since.rstrip("Z").encode()
        lines = [line for line in lines if not (m := _STAMP.match(line)) or m[1] >= begin]
    kept = list(lines)
    if options.tail is not None:
        kept = kept[-options.tail :] if options.tail else []
    answer = b"".join(shown(line, timestamps=options.timestamps) for line in kept)
    return answer if options.limit_bytes is None else answer[: options.limit_bytes]


class Lines:
    """Whole lines out of pieces of a log, for those who follow it."""

    def __init__(self, *, timestamps: bool) -> None:
        self._timestamps = timestamps
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """The lines that are whole by now, as they are answered."""
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        lines = (whole + newline).splitlines(keepends=True)
        return b"".join(shown(line, timestamps=self._timestamps) for line in lines)
