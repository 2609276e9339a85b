"""The twin over the unmodified azure-iot-device client, with deadlines and a watchdog of our own.

What the client does not do for us (2.14): `get_twin` has no time-out and can wait for ever; setting the patch handler
before the twin answer is subscribed stops it from ever refreshing; a refusal during a reconnect ends its retries for
good; subscriptions are never sent again; patches may be lost, doubled or out of order. So handlers only wake the loop,
the whole twin is read each time, and a client that hangs is thrown away and made anew.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from azure.iot.device import Message, MethodResponse

from edge_expose_module.adapters.sign_in import SignIn
from edge_expose_module.desired.twin import MethodHandler, TwinSections, TwinUnavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

CALL_SECONDS: Final = 20.0
CONNECT_SECONDS: Final = 30.0
RETRY_SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
# Two calls in a row that got no answer although the client says it is connected: it is stuck, make a new one.
HANGS_BEFORE_RENEWAL: Final = 2
# An identity that was deleted and made again has another key: what the client signed with is worth nothing any more.
REFUSALS_BEFORE_RENEWAL: Final = 3
# Two clients with one identity throw each other out without a pause, some fifty times a second. Whoever steps back
# lets the other one be seen; a real second client then shows as a module that never stays connected.
FLAPS: Final = 10
FLAP_WINDOW_SECONDS: Final = 5.0
# For a moment at first: whoever steps back may be the one that acts.
STEP_BACK_SECONDS: Final = (2.0, 5.0, 10.0, 30.0)
# Whoever only reads leaves the connection to the process that acts, and looks in now and then to say that it is there.
GIVE_WAY_SECONDS: Final = 300.0
_PATH: Final = re.compile(r"\burl: \S+")


class IoTHubTwin:
    """`sas_ttl` is the life of a token in seconds; the client renews it 120 s before its end."""

    def __init__(self, sign_in: SignIn, sas_ttl: int) -> None:
        self._sign_in = sign_in
        self._sas_ttl = sas_ttl
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: Callable[[], None] = lambda: None
        self._methods: MethodHandler | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._hangs = 0
        self._changes: deque[float] = deque(maxlen=2 * FLAPS)
        self._changed = asyncio.Event()
        self._steps_back = 0
        self._gives_way = False

    @property
    def connected(self) -> bool:
        return self._client is not None and bool(self._client.connected) and self._ready.is_set()

    async def start(self, wake: Callable[[], None], methods: MethodHandler) -> None:
        self._loop = asyncio.get_running_loop()
        self._wake = wake
        self._methods = methods
        self._keeper = asyncio.create_task(self._keep_connected(), name="twin")

    async def read(self) -> TwinSections:
        twin = await self._call("get_twin", lambda client: client.get_twin())
        desired, reported = twin.get("desired"), twin.get("reported")
        if not isinstance(desired, dict):
            raise TwinUnavailable("the hub answered a twin without desired properties")
        version = desired.get("$version")
        return TwinSections(
            _plain(desired),
            _plain(reported if isinstance(reported, dict) else {}),
            version if isinstance(version, int) else 0,
        )

    async def report(self, patch: Mapping[str, Any]) -> None:
        await self._call("report", lambda client: client.patch_twin_reported_properties(dict(patch)))

    async def send_event(self, event: Mapping[str, Any]) -> None:
        message = Message(json.dumps(event), content_encoding="utf-8", content_type="application/json")
        await self._call("event", lambda client: client.send_message_to_output(message, "events"))

    def give_way(self) -> None:
        self._gives_way = True
        self._changed.set()

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._drop_client()

    # --- keeping a client alive ---

    async def _keep_connected(self) -> None:
        attempt = refusals = 0
        while True:
            try:
                if self._gives_way:
                    await self._leave_it_to_the_other()
                elif self._flapping():
                    await self._step_back()
                elif self._client is None or self._hangs >= HANGS_BEFORE_RENEWAL:
                    await self._renew_client()
                    attempt = 0
                elif not self._client.connected:
                    # The SDK retries most drops itself; after a refusal it does not, so we ask again.
                    if await self._connection_changes(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]):
                        continue
                    if not self._client.connected:
                        async with _within(CONNECT_SECONDS, "connect"):
                            await self._client.connect()
                    attempt = refusals = 0
                    self._wake()
                else:
                    attempt = 0
                    if self._changes and time.monotonic() - self._changes[-1] > STEP_BACK_SECONDS[-1]:
                        self._steps_back = 0
                    await self._connection_changes(1.0)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                # Whatever the SDK throws, including its internal kinds: the hub is away, and that is normal.
                log.info("hub: %s", told(error))
                refusals += 1
                if not self._ready.is_set() or refusals >= REFUSALS_BEFORE_RENEWAL:
                    await self._drop_client()
                    refusals = 0
                await asyncio.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
                attempt += 1

    async def _connection_changes(self, seconds: float) -> bool:
        """Waits this long, or until the connection comes or goes: a fight over the identity is to be left at once."""
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _flapping(self) -> bool:
        full = len(self._changes) == self._changes.maxlen
        return full and self._changes[-1] - self._changes[0] < FLAP_WINDOW_SECONDS

    async def _step_back(self) -> None:
        log.error(
            "hub: the connection broke %d times within %.0f s: does another client use this module's identity? "
            "Stepping back for %.0f s",
            FLAPS,
            FLAP_WINDOW_SECONDS,
            pause := STEP_BACK_SECONDS[min(self._steps_back, len(STEP_BACK_SECONDS) - 1)],
        )
        self._steps_back += 1
        await self._drop_client()
        self._changes.clear()
        await asyncio.sleep(pause)

    async def _leave_it_to_the_other(self) -> None:
        log.warning("hub: another process of this module acts: leaving it the connection for %.0f s", GIVE_WAY_SECONDS)
        await self._drop_client()
        self._changes.clear()
        self._gives_way = False
        await asyncio.sleep(GIVE_WAY_SECONDS)

    async def _renew_client(self) -> None:
        await self._drop_client()
        async with _within(CONNECT_SECONDS, "identity"):
            client = await _in_a_thread_of_its_own(self._new_client)
        self._client = client
        # The order matters: connect, read, then set handlers, then read again (the wake-up) to close the gap.
        async with _within(CONNECT_SECONDS, "connect"):
            await client.connect()
        async with _within(CALL_SECONDS, "get_twin"):
            await client.get_twin()
        # Each subscribes, and waits for ever where the connection breaks meanwhile.
        async with _within(CALL_SECONDS, "subscribe"):
            await _in_a_thread_of_its_own(lambda: self._set_handlers(client))
        self._hangs = 0
        self._ready.set()
        log.info("hub: connected")
        self._wake()

    def _new_client(self) -> Any:
        # retries every 2 s: on a factory floor the hub comes back when it comes back, and one module is no storm
        return self._sign_in.new_client(self._sas_ttl, retry_seconds=2)

    def _set_handlers(self, client: Any) -> None:
        client.on_connection_state_change = self._on_connection_change
        client.on_background_exception = lambda error: log.info("hub: %s", told(error))
        client.on_twin_desired_properties_patch_received = self._on_patch
        client.on_method_request_received = self._on_method

    async def _drop_client(self) -> None:
        client, self._client = self._client, None
        self._ready.clear()
        if client is None:
            return
        try:
            async with asyncio.timeout(5.0):
                await client.shutdown()
        except Exception as error:
            log.info("hub: shutdown: %s", told(error))

    # --- handlers: they run on threads of the SDK ---

    def _on_connection_change(self) -> None:
        self._changes.append(time.monotonic())
        self._tell_loop(self._changed.set)
        self._wake_from_thread()

    def _on_patch(self, _patch: Any) -> None:
        self._wake_from_thread()

    def _on_method(self, request: Any) -> None:
        loop, client = self._loop, self._client
        if loop is not None and client is not None and not loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._answer(client, request), loop)

    async def _answer(self, client: Any, request: Any) -> None:
        if self._methods is None:
            return
        try:
            status, payload = await self._methods(request.name, request.payload)
        except Exception as error:
            # Whoever asked is told at once instead of waiting; the text of the error stays here, it may hold anything.
            log.exception("method %s", request.name)
            status, payload = 500, {"error": f"unexpected {type(error).__name__}; the module's log has more"}
        try:
            response = MethodResponse.create_from_method_request(request, status, payload)
            async with asyncio.timeout(CALL_SECONDS):
                await client.send_method_response(response)
        except Exception as error:
            log.info("hub: method %s was not answered: %s", request.name, told(error))

    def _wake_from_thread(self) -> None:
        self._tell_loop(self._wake)

    def _tell_loop(self, what: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what)

    # --- calls with a deadline ---

    async def _call(self, what: str, call: Callable[[Any], Awaitable[T]]) -> T:
        client = self._client
        if client is None or not self._ready.is_set() or not client.connected:
            raise TwinUnavailable("not connected to the hub")
        try:
            async with _within(CALL_SECONDS, what):
                result = await call(client)
        except TwinUnavailable:
            self._hangs += 1
            raise
        except asyncio.CancelledError:
            raise
        except Exception as error:
            raise TwinUnavailable(f"{what}: {told(error)}") from error
        self._hangs = 0
        return result


@asynccontextmanager
async def _within(seconds: float, what: str) -> AsyncIterator[None]:
    """Raises TwinUnavailable, with the name of what took longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise TwinUnavailable(f"{what}: no answer within {seconds:.0f} s") from None


async def _in_a_thread_of_its_own(call: Callable[[], T]) -> T:
    """For what may never return: the threads of `asyncio.to_thread` are few, and the process's end waits for them."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # it ends when it ends, also where nobody waits any more

    def run() -> None:
        try:
            done.set_result(call())
        except Exception as error:
            done.set_exception(error)

    threading.Thread(target=run, name="hub", daemon=True).start()
    return await asyncio.wrap_future(done)


def _plain(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if not key.startswith("$")}


def told(error: BaseException) -> str:
    """Kind and cause of an SDK error, shortened; without paths: the workload API's may be all it takes to sign."""
    cause = error.__cause__
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if cause is not None:
        text += f" <- {type(cause).__name__}: {cause}"
    return _PATH.sub("url", text)[:300]
