"""The body of a request: read whole before any route runs, and never more of it than a form or an exposure needs.

What the headers say about its length decides nothing: the bytes are counted as they come.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Message, Receive

MOST_BYTES: Final = 128 * 1024
BODY_SECONDS: Final = 20.0
#: What is read and thrown away of a request that is refused, so that a browser hears why before the connection ends.
DRAINED_BYTES: Final = 1024 * 1024
DRAIN_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bytes, and seconds until all of it must be there."""

    most: int = MOST_BYTES
    seconds: float = BODY_SECONDS


class TooLarge(Exception):
    """There is more than the limit; `more` says whether some of it is still to come."""

    def __init__(self, more: bool) -> None:
        super().__init__()
        self.more = more


class TooSlow(Exception):
    """Not all of it came in time."""


class Gone(Exception):
    """The client hung up."""


def has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def read_body(receive: Receive, limits: BodyLimits) -> bytes:
    """Raises TooLarge as soon as one byte is too many, TooSlow, or Gone."""
    parts = bytearray()
    try:
        async with asyncio.timeout(limits.seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                parts += message.get("body", b"")
                more = message.get("more_body", False)
                if len(parts) > limits.most:
                    raise TooLarge(more)
                if not more:
                    return bytes(parts)
    except TimeoutError:
        raise TooSlow from None


async def drain(receive: Receive) -> None:
    """Throws away what is still to come of a body, within bounds."""
    seen = 0
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while seen < DRAINED_BYTES:
                message = await receive()
                seen += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def replayed(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read, then what comes after it: that the client hangs up."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
