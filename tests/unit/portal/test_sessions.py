"""Sessions: how they begin and end, what keeps them alive, and the event streams that hang on them."""

from __future__ import annotations

import asyncio
import re

import pytest

from edge_expose_cloud.portal.auth.accounts import Accounts
from edge_expose_cloud.portal.auth.sessions import Sessions
from edge_expose_cloud.portal.pages.stream import _stream

from .conftest import PASSWORD, signed_in


def test_signing_in_makes_a_new_session_and_the_planted_one_is_worth_nothing(world) -> None:
    browser = world.browser()
    browser.client.cookies.set(world.portal.cookie, "planted-by-somebody")
    answer = browser.post("/sign-in", {"name": "ada", "password": PASSWORD})
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert "planted" not in cookie
    assert "HttpOnly" in cookie
    assert re.search(r"edge-expose=[^;]+; HttpOnly; Path=/; SameSite=lax", cookie), "links from mail and chat open"
    planted = world.browser()
    planted.client.cookies.set(world.portal.cookie, "planted-by-somebody")
    assert planted.get("/devices").status_code == 303


def test_signing_in_again_ends_the_session_before(world) -> None:
    browser = world.browser("ada")
    old = browser.client.cookies[world.portal.cookie]
    browser.post("/sign-in", {"name": "ada", "password": PASSWORD})
    assert world.portal.sessions.find(old) is None


def test_signing_out_ends_the_session_on_the_server(world, ada) -> None:
    cookie = ada.client.cookies[world.portal.cookie]
    assert ada.change("/sign-out").status_code == 303
    assert world.portal.sessions.find(cookie) is None


def test_a_session_ends_when_idle_and_after_its_longest_time() -> None:
    clock = [0.0]
    sessions = Sessions(lambda: clock[0])
    idle, busy = sessions.start("a", "viewer"), sessions.start("b", "viewer")
    for _ in range(11):
        clock[0] += 3600
        assert sessions.find(busy, used=True) is not None
    assert sessions.find(idle) is None
    clock[0] += 2 * 3600
    assert sessions.find(busy) is None


@pytest.mark.parametrize(
    ("path", "headers", "renews"),
    [
        pytest.param("/devices/d1", {}, True, id="a page"),
        pytest.param("/api/devices", {}, True, id="a program's call"),
        pytest.param("/devices/d1/fragments/state", {"X-Fragment": "1"}, False, id="an open page that fetches itself"),
        pytest.param("/api/session", {"X-Fragment": "1"}, False, id="a form that looks whether it is signed in"),
    ],
)
def test_what_open_pages_do_by_themselves_keeps_no_session_alive(world, ada, path, headers, renews) -> None:
    cookie = ada.client.cookies[world.portal.cookie]
    before = world.portal.sessions.find(cookie).seen
    assert ada.get(path, headers=headers).status_code == 200
    assert (world.portal.sessions.find(cookie).seen > before) is renews


def test_what_open_pages_ask_for_without_a_session_is_401_and_no_other_page(world) -> None:
    stranger = world.browser()
    assert stranger.get("/events?device=d1").status_code == 401
    assert stranger.get("/devices/d1/fragments/state", headers={"X-Fragment": "1"}).status_code == 401
    assert stranger.get("/devices/d1").status_code == 303


@pytest.mark.parametrize(("sessions", "each", "open_in_all"), [(1, 12, 8), (6, 8, 32)])
def test_the_event_streams_of_a_session_and_of_a_user_are_capped(world, sessions, each, open_in_all) -> None:
    cookies = [world.portal.sessions.start("ada", "operator") for _ in range(sessions)]
    other = world.portal.sessions.start("vic", "viewer")

    async def follow() -> None:
        streams = [_stream(world.portal, "device:d1", cookie) for cookie in cookies for _ in range(each)]
        first = [await anext(stream) for stream in streams]
        assert sum("event: changed" in text for text in first) == open_in_all
        assert {text for text in first if "event:" not in text} == {"retry: 30000\n\n"}
        theirs = _stream(world.portal, "device:d1", other)
        assert "event: changed" in await anext(theirs), "somebody else still gets one"
        for stream in [*streams, theirs]:
            await stream.aclose()
        assert world.portal.events.count() == 0

    asyncio.run(follow())


def test_nobody_ends_the_sessions_of_others_by_signing_in_often(world) -> None:
    sessions = Sessions(lambda: 0.0)
    theirs = sessions.start("vic", "viewer")
    mine = [sessions.start("ada", "operator") for _ in range(1200)]
    assert sessions.find(theirs) is not None
    assert sum(sessions.find(cookie) is not None for cookie in mine) == 20


def test_following_events_keeps_no_session_alive(world) -> None:
    cookie = world.portal.sessions.start("ada", "operator")
    before = world.portal.sessions.find(cookie).seen

    async def follow() -> None:
        stream = _stream(world.portal, "device:d1", cookie)
        await anext(stream)
        await stream.aclose()

    asyncio.run(follow())
    assert world.portal.sessions.find(cookie).seen == before


def demote(world) -> None:
    path = world.portal.settings.users
    path.write_text(path.read_text().replace('"operator"', '"viewer"'))


def test_whoever_is_demoted_changes_nothing_more_in_a_session_that_is_open(world) -> None:
    ada = signed_in(world)
    assert ada.get("/devices/d1/expose").status_code == 200
    demote(world)
    assert ada.get("/devices/d1/expose").status_code == 403
    assert ada.change("/devices/d1/plan", kind="remove", name="web-out").status_code == 403
    assert ada.get("/api/session").json()["role"] == "viewer"


@pytest.mark.parametrize(
    ("change", "ends"),
    [
        pytest.param(lambda accounts: accounts.remove("ada"), True, id="removed"),
        pytest.param(lambda accounts: accounts.add("ada", "operator", PASSWORD + "!"), True, id="another password"),
        pytest.param(lambda accounts: accounts.remove("vic"), False, id="somebody else is removed"),
    ],
)
def test_a_session_ends_when_its_account_does(world, change, ends) -> None:
    ada, linked = signed_in(world), world.browser("demo")
    change(Accounts(world.portal.settings.users))
    assert (ada.get("/devices").status_code == 303) is ends
    assert linked.get("/devices").status_code == 200, "a one-time link has no account"


def test_an_accounts_file_that_breaks_lets_nobody_in_until_it_is_mended(world) -> None:
    ada, path = signed_in(world), world.portal.settings.users
    text = path.read_text()
    path.write_text("{")
    assert ada.get("/devices").status_code == 303
    path.write_text(text)
    assert ada.get("/devices").status_code == 200


def test_a_stream_ends_with_its_account_and_with_the_portal(world) -> None:
    cookie, events = signed_in(world).client.cookies[world.portal.cookie], world.portal.events

    async def heard_after(end) -> int:
        stream = _stream(world.portal, "device:d1", cookie)
        await anext(stream)
        end()
        async with asyncio.timeout(5):
            return len([text async for text in stream])

    assert asyncio.run(heard_after(events.close)) == 0
    assert asyncio.run(heard_after(lambda: None)) == 0, "one that begins while the portal ends"


def test_a_stream_ends_when_its_account_is_gone(world) -> None:
    cookie = signed_in(world).client.cookies[world.portal.cookie]

    async def follow() -> list[str]:
        stream = _stream(world.portal, "device:d1", cookie)
        await anext(stream)
        Accounts(world.portal.settings.users).remove("ada")
        async with asyncio.timeout(5):
            return [text async for text in stream]

    assert asyncio.run(follow()) == []
