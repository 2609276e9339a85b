"""What the keeper of the hub's client does when the connection comes and goes: with a client that says so on demand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from edge_expose_module.adapters.iothub_twin import FLAPS, IoTHubTwin
from edge_expose_module.adapters.sign_in import SignIn
from support.waiting import PATIENCE


class Client:
    """As much of the device SDK's client as the keeper touches."""

    connected = False
    on_connection_state_change: Callable[[], None]

    async def connect(self) -> None:
        self.connected = True

    async def get_twin(self) -> dict[str, Any]:
        return {"desired": {"$version": 1}, "reported": {}}

    async def shutdown(self) -> None:
        self.connected = False


@dataclass(frozen=True, slots=True)
class Clients(SignIn):
    """Hands out such clients."""

    made: list[Client] = field(default_factory=list)
    kind: Callable[[], Client] = Client

    def new_client(self, sas_ttl: int, retry_seconds: int) -> Client:
        self.made.append(self.kind())
        return self.made[-1]


class Refused(Client):
    """Is refused when the test says so."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.refusal: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def connect(self) -> None:
        self.asked.set()
        await self.refusal


class Unanswered:
    """A call that returns when the test ends."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.end_of_test = threading.Event()
        self.returned = False

    def wait(self) -> None:
        self.asked.set()
        self.end_of_test.wait(PATIENCE)
        self.returned = True


class Deaf(Client):
    """Its subscription is never answered, as when the connection breaks while it is under way."""

    def __init__(self, call: Unanswered) -> None:
        self.call = call

    @property
    def on_twin_desired_properties_patch_received(self) -> None: ...

    @on_twin_desired_properties_patch_received.setter
    def on_twin_desired_properties_patch_received(self, _handler: Callable[[Any], None]) -> None:
        self.call.wait()


async def _never_called(name: str, payload: Any) -> tuple[int, Any]:
    raise AssertionError(name)


async def _connected(twin: IoTHubTwin) -> None:
    woken = asyncio.Event()
    await twin.start(woken.set, _never_called)
    await asyncio.wait_for(woken.wait(), PATIENCE)
    assert twin.connected


async def _let_everything_run() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def test_a_fight_over_the_identity_is_left_at_once() -> None:
    """A second later the module may already have reported that it is there, and then be gone while it is called."""

    async def go() -> None:
        clients = Clients("hub", "edge1", "edge-expose")
        twin = IoTHubTwin(clients, 3600)
        await _connected(twin)
        try:
            for _ in range(2 * FLAPS - 1):
                clients.made[0].on_connection_state_change()
            await _let_everything_run()
            assert twin.connected
            clients.made[0].on_connection_state_change()
            await _let_everything_run()
            assert not twin.connected
        finally:
            await twin.stop()

    asyncio.run(go())


def test_who_gives_way_does_so_at_once() -> None:
    async def go() -> None:
        twin = IoTHubTwin(Clients("hub", "edge1", "edge-expose"), 3600)
        await _connected(twin)
        try:
            twin.give_way()
            await _let_everything_run()
            assert not twin.connected
        finally:
            await twin.stop()

    asyncio.run(go())


def test_an_answer_that_comes_as_the_module_is_stopped_does_not_keep_it_from_stopping() -> None:
    """`asyncio.wait_for` of Python 3.11 forgets a cancellation then, and the keeper would go on for ever."""

    async def go() -> None:
        client = Refused()
        twin = IoTHubTwin(Clients("hub", "edge1", "edge-expose", kind=lambda: client), 3600)
        await twin.start(lambda: None, _never_called)
        await asyncio.wait_for(client.asked.wait(), PATIENCE)
        client.refusal.set_exception(ConnectionRefusedError())
        await asyncio.wait_for(twin.stop(), PATIENCE)

    asyncio.run(go())


def _never_made(call: Unanswered) -> Client:
    call.wait()
    return Client()


@pytest.mark.parametrize(
    "kind", [pytest.param(Deaf, id="a subscription"), pytest.param(_never_made, id="whoever keeps the key")]
)
def test_what_is_never_answered_keeps_no_thread_from_anybody(kind: Callable[[Unanswered], Client]) -> None:
    """Those that passes and probes share are few, and the end of the process waits for them."""
    call = Unanswered()

    async def go() -> None:
        twin = IoTHubTwin(Clients("hub", "edge1", "edge-expose", kind=lambda: kind(call)), 3600)
        await twin.start(lambda: None, _never_called)
        assert await asyncio.to_thread(call.asked.wait, PATIENCE)
        await twin.stop()

    asyncio.run(go())
    assert not call.returned
    call.end_of_test.set()
