"""The module's side of a twin: the adapter over the SDK on a hub, and the fake that the module's own tests run on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod, Twin, TwinProperties

from edge_expose_contract.limits import SECTION_BYTES
from edge_expose_module.adapters.iothub_twin import IoTHubTwin
from edge_expose_module.adapters.sign_in import read_sign_in
from edge_expose_module.desired.twin import TwinLink, TwinUnavailable
from support.fake_twin import FakeTwin
from support.hub import RunningHub
from support.waiting import PATIENCE

DESIRED = {"schemaVersion": "1.0", "exposures": {"a": {"ports": ["80"]}}}


class FakeSide:
    def __init__(self) -> None:
        self.twin = FakeTwin()
        self.twin.patch_desired(DESIRED)
        self.link: TwinLink = self.twin

    async def desire(self, patch: dict[str, Any]) -> None:
        self.twin.patch_desired(patch)

    async def call(self, name: str, payload: Any) -> tuple[int, Any]:
        return await self.twin.call(name, payload)

    async def events(self) -> list[Any]:
        return self.twin.events

    async def cut(self) -> None:
        self.twin.away = True

    async def mend(self) -> None:
        self.twin.away = False


class HubSide:
    def __init__(self, hub: RunningHub, registry: IoTHubRegistryManager, device: str) -> None:
        self.hub, self.registry, self.device = hub, registry, device
        registry.create_module_with_sas(device, "edge-expose", "", None, None)
        self._patch(DESIRED)
        self.link: TwinLink = IoTHubTwin(read_sign_in(hub.device_env(device, "edge-expose")), 3600)

    def _patch(self, patch: dict[str, Any]) -> None:
        twin = Twin(properties=TwinProperties(desired=patch))
        self.registry.update_module_twin(self.device, "edge-expose", twin)

    async def desire(self, patch: dict[str, Any]) -> None:
        await asyncio.to_thread(self._patch, patch)

    async def call(self, name: str, payload: Any) -> tuple[int, Any]:
        request = CloudToDeviceMethod(method_name=name, payload=payload, response_timeout_in_seconds=10)
        invoke = self.registry.invoke_device_module_method
        answer = await asyncio.to_thread(invoke, self.device, "edge-expose", request)
        return answer.status, answer.payload

    async def events(self) -> list[Any]:
        found = await asyncio.to_thread(self.hub.control, "GET", f"/telemetry?device={self.device}")
        return [item["payload"] for item in found]

    async def cut(self) -> None:
        await asyncio.to_thread(self.hub.kill)

    async def mend(self) -> None:
        await asyncio.to_thread(self.hub.restart)


Side = FakeSide | HubSide


@pytest.fixture(params=["fake", "hub"])
def side(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Side:
    if request.param == "fake":
        return FakeSide()
    hub, device = request.getfixturevalue("hub"), request.getfixturevalue("device")
    found = HubSide(hub, request.getfixturevalue("registry"), device)
    for name, value in hub.device_env(device, "edge-expose").items():
        monkeypatch.setenv(name, value)
    return found


class Wakes:
    """Counts wake-ups, which may come from any thread."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


async def until(look: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            while not look():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not within {PATIENCE:.0f} s: {what}")


async def read_once_connected(link: TwinLink) -> Any:
    """A read, begun again as long as the hub is away."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await link.read()
            except TwinUnavailable:
                await asyncio.sleep(0.02)


async def methods(name: str, payload: Any) -> tuple[int, Any]:
    if name == "break":
        raise RuntimeError("a secret")
    return 207, {"name": name, "payload": payload}


@asynccontextmanager
async def started(side: Side) -> AsyncIterator[Wakes]:
    wakes = Wakes()
    await side.link.start(wakes, methods)
    try:
        await until(lambda: side.link.connected and wakes.count > 0, "it connects and wakes the loop")
        yield wakes
    finally:
        await side.link.stop()


def test_both_sections_are_read_without_the_keys_of_the_hub(side: Side) -> None:
    async def go() -> None:
        async with started(side):
            found = await side.link.read()
            assert (found.desired, found.reported, found.version) == (DESIRED, {}, 2)

    asyncio.run(go())


def test_a_change_wakes_and_is_read_as_a_whole(side: Side) -> None:
    async def go() -> None:
        async with started(side) as wakes:
            before = wakes.count
            await side.desire({"exposures": {"a": None, "b": {"ports": ["81"]}}})
            await until(lambda: wakes.count > before, "the change wakes")
            found = await side.link.read()
            assert (found.desired["exposures"], found.version) == ({"b": {"ports": ["81"]}}, 3)

    asyncio.run(go())


def test_a_report_is_merged_and_null_removes(side: Side) -> None:
    async def go() -> None:
        async with started(side):
            await side.link.report({"exposures": {"a": {"state": "Ready"}, "b": {"state": "Ready"}}})
            await side.link.report({"exposures": {"a": None, "b": {"endpoints": 1}}, "shortened": True})
            reported = {"exposures": {"b": {"state": "Ready", "endpoints": 1}}, "shortened": True}
            assert (await side.link.read()).reported == reported

    asyncio.run(go())


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param({f"k{n}": "x" * 4000 for n in range(SECTION_BYTES // 4000 + 1)}, id="a section of over 32 KB"),
        pytest.param({"message": "x" * 4097}, id="a text of over 4 KB"),
        pytest.param({"a.b": 1}, id="a key with a dot"),
    ],
)
def test_what_the_hub_does_not_take_leaves_the_twin_as_it_was(side: Side, patch: dict[str, Any]) -> None:
    async def go() -> None:
        async with started(side):
            await side.link.report({"kept": 1})
            with pytest.raises(TwinUnavailable):
                await side.link.report(patch)
            assert (await side.link.read()).reported == {"kept": 1}

    asyncio.run(go())


def test_methods_are_answered_also_when_ours_breaks_and_no_secret_is_told(side: Side) -> None:
    async def go() -> None:
        async with started(side):
            assert await side.call("status", {"a": 1}) == (207, {"name": "status", "payload": {"a": 1}})
            status, payload = await side.call("break", {})
            assert status == 500
            assert "RuntimeError" in payload["error"]
            assert "secret" not in payload["error"]

    asyncio.run(go())


def test_events_are_sent(side: Side) -> None:
    async def go() -> None:
        async with started(side):
            await side.link.send_event({"exposure": "a", "to": "Ready"})
            assert len(await side.events()) == 1

    asyncio.run(go())


def test_a_hub_that_is_away_is_said_and_wakes_when_it_is_back(side: Side) -> None:
    async def go() -> None:
        async with started(side) as wakes:
            await side.cut()
            await until(lambda: not side.link.connected, "the loss is seen")
            with pytest.raises(TwinUnavailable):
                await side.link.read()
            with pytest.raises(TwinUnavailable):
                await side.link.report({"a": 1})
            with pytest.raises(TwinUnavailable):
                await side.link.send_event({"a": 1})
            before = wakes.count
            await side.mend()
            await until(lambda: side.link.connected and wakes.count > before, "it is back and wakes the loop")
            assert (await side.link.read()).desired == DESIRED

    asyncio.run(go())


@pytest.mark.parametrize("side", ["hub"], indirect=True)
def test_who_gives_way_leaves_the_connection_to_another_process_of_the_identity(side: HubSide) -> None:
    async def go() -> None:
        async with started(side):
            environment = side.hub.device_env(side.device, "edge-expose")
            other, wakes = IoTHubTwin(read_sign_in(environment), 3600), Wakes()
            await other.start(wakes, methods)
            try:
                await until(lambda: wakes.count > 0, "the other one connects too")
                side.link.give_way()
                await until(lambda: not side.link.connected and other.connected, "one connection is left")
                before = wakes.count
                await side.desire({"exposures": {"b": {"ports": ["81"]}}})
                await until(lambda: wakes.count > before, "the change wakes the one that acts")
                # A connect of the one that gives way, begun before it did, may push the other off once more: it comes
                # back by itself, and reads.
                assert "b" in (await read_once_connected(other)).desired["exposures"]
                assert not side.link.connected
            finally:
                await other.stop()

    asyncio.run(go())
