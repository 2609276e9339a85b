"""An HTTP CONNECT port mapper: any name with port 8883 or 443 leads to this hub, everything else is refused.

It lets an unmodified device SDK, whose port is fixed, reach a hub on a free port without root and without DNS.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

HEAD_SECONDS = 10.0
HUB_SECONDS = 10.0


class Proxy:
    """`target(port)` gives (host, port) of the hub's own listener, or None for a refusal."""

    def __init__(self, target: Callable[[int], tuple[str, int] | None]) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the process is going down
        finally:
            self._writers.discard(writer)
            writer.close()

    def _parse(self, head: bytes) -> tuple[str, int] | str:
        words = head.split(b"\r\n")[0].decode("latin-1").split(" ")
        if len(words) != 3 or words[0] != "CONNECT":
            return "405 Method Not Allowed"
        port = words[1].rpartition(":")[2]
        if not port.isdigit():
            return "400 Bad Request"
        return self._target(int(port)) or "403 Forbidden"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        goal = self._parse(head)
        if isinstance(goal, str):
            writer.write(f"HTTP/1.1 {goal}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
            return
        # First the 200, then the hub: a device SDK stops for good on a proxy's refusal, but not on a lost link.
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        far_reader, far_writer = await self._reach(goal)
        self._writers.add(far_writer)
        try:
            pumps = [asyncio.create_task(_pump(reader, far_writer)), asyncio.create_task(_pump(far_reader, writer))]
            _, waiting = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            self._writers.discard(far_writer)
            far_writer.close()

    @staticmethod
    async def _reach(goal: tuple[str, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connects to the hub, which may be on its way back. Raises OSError when it stays away."""
        end = asyncio.get_running_loop().time() + HUB_SECONDS
        while True:
            try:
                return await asyncio.open_connection(*goal)
            except OSError:
                if asyncio.get_running_loop().time() > end:
                    raise
                await asyncio.sleep(0.1)

    def close(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
