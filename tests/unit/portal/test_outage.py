"""The hub fails while pages are open: they say so, show what was read last as such, blame no device, and recover."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from edge_expose_cloud.hub.api import HubError, HubProblem
from edge_expose_cloud.portal.live import poller as polling
from edge_expose_cloud.portal.live.module_answers import PATIENCE_SECONDS, ModuleAnswers
from edge_expose_cloud.portal.live.reading_hub import ReadingHub
from edge_expose_cloud.portal.live.readings import Key, Readings
from edge_expose_cloud.portal.pages.stream import _stream
from edge_expose_contract.identity import MODULE_ID
from support.waiting import eventually

T = TypeVar("T")
TEXT = "reading a twin: the hub answered 503"


def fails(world, problem: HubProblem = HubProblem.UNAVAILABLE, text: str = TEXT) -> None:
    def away(call: str) -> None:
        raise HubError(problem, text)

    world.hub.before = away


def works(world) -> None:
    world.hub.before = None


LIVE = ["/devices/d1", "/devices/d1/fragments/state", "/devices/d1/exposures/web-out/fragment"]


@pytest.mark.parametrize("path", [*LIVE, "/devices/d1/exposures/web-out"])
def test_a_page_of_a_device_that_was_read_is_shown_from_that_reading(world, ada, path) -> None:
    assert ada.get(path).status_code == 200
    assert "last known: Ready" not in ada.get(path).text
    world.portal.reading.forget("d1")  # nothing is fresh any more, as after a while
    fails(world)
    answer = ada.get(path)
    assert answer.status_code == 200
    assert "10.0.0.11:8080" in answer.text
    assert "last known: Ready" in answer.text
    for blame in ("Not connected", "Connected to IoT Hub", "check the device"):
        assert blame not in answer.text
    if "fragment" not in path:
        assert TEXT in answer.text
    works(world)
    world.portal.reading.health.worked()
    assert "last known: Ready" not in ada.get(path).text


def test_a_page_waits_for_the_failing_hub_once_and_not_for_every_twin(world, ada) -> None:
    ada.get("/devices/d1")
    world.portal.reading.forget("d1")
    fails(world)
    before = len(world.hub.calls)
    ada.get("/devices/d1")
    ada.get("/devices/d1")
    assert len(world.hub.calls) == before + 1


def test_a_device_that_only_the_poller_has_read_is_shown_with_what_it_read(world, ada) -> None:
    world.portal.reading.put(world.hub.twins["d1", MODULE_ID], 0)
    fails(world)
    text = ada.get("/devices/d1").text
    assert "web-out" in text
    assert "No manifest has been applied" not in text


def test_a_device_that_nobody_has_read_is_still_an_error_of_the_hub(world, ada) -> None:
    fails(world)
    assert ada.get("/devices/d1").status_code == 502


def test_a_plan_is_never_made_of_an_old_reading(world, ada) -> None:
    ada.get("/devices/d1")
    token = ada.csrf
    fails(world)
    answer = ada.post("/devices/d1/plan", {"csrf": token, "kind": "remove", "name": "web-out"})
    assert answer.status_code == 502


def test_rows_of_the_fleet_are_last_known_while_the_hub_fails(world, ada) -> None:
    asyncio.run(world.portal.poller._sweep())
    assert "last known" not in ada.get("/fragments/fleet").text
    world.portal.poller._failed(HubError(HubProblem.UNAVAILABLE, TEXT))
    assert "last known: " in ada.get("/fragments/fleet").text


def test_a_device_that_cannot_be_asked_because_of_the_hub_is_not_blamed(world, ada) -> None:
    ada.get("/devices/d1")
    fails(world)
    assert "could not be asked" in ada.get("/devices/d1/exposures/web-out/checks").text
    fails(world, HubProblem.OFFLINE, "it is not connected")
    assert "The device did not answer" in ada.get("/devices/d1/exposures/web-out/checks").text


def test_open_pages_hear_of_the_trouble_and_of_its_end_whoever_finds_it(world) -> None:
    portal = world.portal
    cookie = portal.sessions.start("ada", "operator")

    async def follow() -> list[str]:
        stream = _stream(portal, "device:d1", cookie)
        heard = [await anext(stream)]
        portal.reading.health.failed(HubError(HubProblem.UNAVAILABLE, TEXT))  # as a page finds it, in a thread
        portal.poller._tell_health()
        heard.append(await anext(stream))
        portal.poller._failed(HubError(HubProblem.UNAVAILABLE, "another call: the hub answered 503"))
        portal.poller._worked()
        heard.append(await anext(stream))
        await stream.aclose()
        return heard

    first, trouble, end = asyncio.run(follow())
    assert '"problem": ""' in first
    assert TEXT in trouble
    assert '"problem": ""' in end, "one trouble is told once, however its calls word it"


def test_one_device_is_asked_now_and_then_while_the_hub_fails(world) -> None:
    poller, events = world.portal.poller, world.portal.events
    with events.listen("device:d1"), events.listen("device:d2"):
        assert len(poller._due()) == 2
        poller._failed(HubError(HubProblem.UNAVAILABLE, TEXT))
        assert len(poller._due()) == 1
        assert poller._due() == [], f"the next probe is {polling.PROBE_SECONDS} seconds later"
        poller._worked()
        assert len(poller._due()) == 2


def test_throttled_queries_do_not_call_twins_old_that_are_read_all_the_time(world) -> None:
    poller = world.portal.poller
    fails(world, HubProblem.THROTTLED)

    async def sweep_a_moment() -> None:
        task = asyncio.create_task(poller._sweep_forever())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    poller._read["d1"] = 1.0
    asyncio.run(sweep_a_moment())
    assert poller.problem == ""
    poller._read.clear()
    asyncio.run(sweep_a_moment())
    assert "throttling" in poller.problem


def test_a_hub_that_hangs_is_said_long_before_the_call_fails(world, monkeypatch) -> None:
    monkeypatch.setattr(polling, "SLOW_SECONDS", 0.05)
    poller, answered = world.portal.poller, threading.Event()
    world.hub.before = lambda call: answered.wait(10)

    async def look() -> str:
        task = asyncio.create_task(poller._look("d1"))
        async with asyncio.timeout(5):
            while not poller.problem:
                await asyncio.sleep(0.01)
        found = str(poller.problem)
        answered.set()
        await task
        return found

    assert "no answer" in asyncio.run(look())
    assert poller.problem == "", "it answers after all"


PAGES = [*LIVE, "/devices/d1/exposures/web-out", "/devices/d1/ownership", "/devices/d1/twin", "/devices/d1/history"]
FORMS = ["/devices/d1/expose", "/devices/d1/exposures/web-out/edit", "/devices/d1/network"]


@pytest.mark.parametrize("path", [*PAGES, *FORMS])
def test_a_page_of_a_hub_that_hangs_is_made_of_memory(world, ada, path) -> None:
    """Nobody has found out yet that it hangs."""
    asyncio.run(world.portal.poller._sweep())
    ada.get(path)
    world.portal.reading.forget("d1")
    answered = threading.Event()
    world.hub.before = lambda call: answered.wait(60)
    try:
        answer = ada.get(path)
    finally:
        answered.set()
    assert answer.status_code == 200
    if path in LIVE[:1]:
        assert "no answer within a second" in answer.text
        assert 'class="old"' in answer.text


class Waits(Readings):
    """Notes how long somebody waited for an answer that did not come."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def within(self, key: Key, seconds: float, read: Callable[[], T], patience: float) -> T:
        try:
            return super().within(key, seconds, read, patience)
        except TimeoutError:
            self.waited.append(patience)
            raise


def test_a_page_waits_a_moment_once_for_all_that_it_reads_of_a_hub_that_hangs(world) -> None:
    readings = Waits()
    reading = ReadingHub(world.hub, readings, ModuleAnswers(world.hub, readings))
    answered = threading.Event()

    def read(hub: ReadingHub) -> None:
        hub.device_twin("d1")
        for module in (MODULE_ID, "$edgeAgent", "$edgeHub"):
            hub.module_twin("d1", module)
        hub.module_ids("d1")

    read(reading)
    readings.forget("d1")
    world.hub.before = lambda call: answered.wait(60)
    try:
        page = reading.last_known()
        read(page)
    finally:
        answered.set()
    assert page.late
    assert len(readings.waited) == 5
    assert sum(readings.waited) <= PATIENCE_SECONDS


def test_a_device_that_only_a_query_has_read_is_shown_while_the_hub_hangs(world, ada) -> None:
    asyncio.run(world.portal.poller._sweep())
    answered = threading.Event()
    world.hub.before = lambda call: answered.wait(60)
    try:
        text = ada.get("/devices/d1").text
    finally:
        answered.set()
    assert "10.0.0.11:8080" in text


def test_what_a_call_that_hung_brings_is_kept_for_the_next_page(world, ada) -> None:
    asyncio.run(world.portal.poller._sweep())
    answered = threading.Event()
    world.hub.before = lambda call: answered.wait(60)
    ada.get("/devices/d1")
    calls = len(world.hub.calls)
    ada.get("/devices/d1")
    assert len(world.hub.calls) == calls, "what is being asked is not asked twice"
    answered.set()
    works(world)
    eventually(lambda: "no answer within a second" not in ada.get("/devices/d1").text, what="the page is fresh again")
