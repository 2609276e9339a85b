"""What must not work: foreign sites, planted cookies, the wrong role, guesses, markup from devices, odd paths."""

from __future__ import annotations

import asyncio
import os
import re
import stat
import threading
from ipaddress import ip_network

import httpx
import pytest
from starlette.testclient import TestClient

from edge_expose_cloud.portal.app import make_app
from edge_expose_cloud.portal.auth.accounts import Account, AccountError, Accounts
from edge_expose_cloud.portal.auth.browsers import browser_cookie, known_browser
from edge_expose_cloud.portal.auth.passwords import Busy, PasswordQueue
from edge_expose_cloud.portal.auth.sessions import FREE_TRIES, LoginBrake, Sessions
from edge_expose_cloud.portal.forms.changes import ChangeRequest
from edge_expose_cloud.portal.http.guards import Hosts
from edge_expose_cloud.portal.pages.stream import _stream
from edge_expose_contract.identity import MODULE_ID

from .conftest import Browser

PASSWORD = "correct horse battery"
REMOVE = ChangeRequest("remove", "d1", "web-out").to_text()
CHANGES = [
    ("/devices/d1/expose", {"name": "evil", "module": "web", "out0": "1", "in0": "1"}),
    ("/devices/d1/check", {"name": "evil", "module": "web", "out0": "1", "in0": "1"}),
    ("/devices/d1/plan", {"kind": "remove", "name": "web-out"}),
    ("/devices/d1/network", {"external": "10.0.0.10-10.0.0.99"}),
    (
        "/devices/d1/apply",
        {"change": REMOVE, "digest": "0" * 64},
    ),
    ("/sign-out", {}),
]
OPERATORS = [change for change in CHANGES if change[0] != "/sign-out"]


@pytest.mark.parametrize(("path", "fields"), CHANGES)
def test_without_this_sessions_token_nothing_is_done(world, ada, path, fields) -> None:
    before = world.desired()
    other = world.browser("ada").csrf
    for token in ("", "x", other):
        answer = ada.post(path, {**fields, "csrf": token})
        assert answer.status_code == 403, token
    assert world.desired() == before
    assert ada.get("/devices").status_code == 200, "still signed in"


@pytest.mark.parametrize(
    ("path", "fields"), [*CHANGES, ("/sign-in", {"name": "ada", "password": PASSWORD}), ("/link", {})]
)
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost.evil.example:8480"]
)
def test_a_post_from_another_site_is_refused_even_with_the_token(ada, path, fields, origin) -> None:
    answer = ada.post(path, {**fields, "csrf": ada.csrf}, headers={"Origin": origin})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_cross_site_post_without_origin_is_refused(ada) -> None:
    answer = ada.client.post("/sign-out", data={"csrf": ada.csrf}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


@pytest.mark.parametrize(("path", "fields"), OPERATORS)
def test_a_viewer_changes_nothing_whatever_it_posts(world, vic, path, fields) -> None:
    before = world.desired()
    answer = vic.change(path, **fields)
    assert answer.status_code == 403
    assert "you are a viewer" in answer.text
    assert world.desired() == before


def test_a_role_in_a_form_or_a_cookie_means_nothing(world, vic) -> None:
    answer = vic.change("/devices/d1/plan", kind="remove", name="web-out", role="operator", session="operator")
    assert answer.status_code == 403


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


def test_wrong_name_and_wrong_password_get_the_same_answer(world) -> None:
    texts = []
    for name in ("ada", "nobody"):
        answer = world.browser().post("/sign-in", {"name": name, "password": "wrong"})
        assert answer.status_code == 403
        texts.append(answer.text.replace(name, "NAME"))
    assert texts[0] == texts[1]


def test_guessing_is_held_back_and_even_the_right_password_waits(world) -> None:
    browser = world.browser()
    codes = [
        browser.post("/sign-in", {"name": "ada", "password": f"guess {number}"}).status_code for number in range(8)
    ]
    assert codes == [403] * FREE_TRIES + [429] * (8 - FREE_TRIES)
    held = browser.post("/sign-in", {"name": "ada", "password": PASSWORD})
    assert held.status_code == 429
    assert int(held.headers["retry-after"]) > 0
    assert "set-cookie" not in held.headers
    assert world.audit().count("sign-in-held-back") == 1, "one line for each wait, however many tries it holds back"


def guess(world, browser, count: int, name: str = "ada") -> list[int]:
    return [browser.post("/sign-in", {"name": name, "password": "guess"}).status_code for _ in range(count)]


def test_guesses_of_others_cannot_keep_the_owner_out_of_a_browser_that_signed_in_before(world, accounts_file) -> None:
    owner = signed_in(world)
    owner.client.cookies.delete(world.portal.cookie)
    for key in range(60):
        world.portal.name_brake.failed("ada")
        world.portal.address_brake.failed(f"10.0.0.{key}")
    assert guess(world, world.browser(), 1) == [429], "a new browser waits"
    assert owner.post("/sign-in", {"name": "ada", "password": PASSWORD}).status_code == 303
    assert guess(world, world.browser(), 1) == [429], "and that lets nobody else in sooner"


def test_a_browser_that_is_known_is_held_back_for_its_own_guesses_only(world) -> None:
    owner = signed_in(world)
    assert guess(world, owner, FREE_TRIES + 1) == [403] * FREE_TRIES + [429]
    assert guess(world, owner, 1, "vic") == [403], "to another account it is a browser like any"
    assert guess(world, world.browser(), 1) == [403]
    assert signed_in(world)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda cookie: cookie[:-1] + ("0" if cookie[-1] != "0" else "1"), id="another code"),
        pytest.param(lambda cookie: "0" * 32 + cookie[32:], id="another browser"),
        pytest.param(lambda cookie: cookie.replace(".1", ".2", 1), id="another time"),
        pytest.param(lambda cookie: "", id="none"),
        pytest.param(lambda cookie: cookie + "x", id="more"),
    ],
)
def test_a_browser_is_known_by_a_code_that_nobody_can_make_up(spoil) -> None:
    ada, vic = Account("ada", "operator", "$argon2id$a"), Account("vic", "operator", "$argon2id$b")
    cookie = browser_cookie(ada, 1_800_000_000.0)
    later = 1_800_000_000.0 + 86400
    assert known_browser(cookie, ada, later) == cookie[:32]
    assert known_browser(spoil(cookie), ada, later) == ""
    assert known_browser(cookie, vic, later) == ""
    assert known_browser(cookie, None, later) == ""
    assert known_browser(cookie, Account("ada", "operator", "$argon2id$new"), later) == "", "another password"
    assert known_browser(cookie, ada, later + 200 * 86400) == "", "too long ago"
    assert known_browser(cookie, ada, 1.0) == "", "from the future"


def proxied(world, peer: str):
    """A browser whose requests come from `peer`; the proxies of 10.0.0.0/24 are trusted."""
    app = make_app(world.portal, Hosts(["127.0.0.1"]), proxies=[ip_network("10.0.0.0/24")])
    return Browser(TestClient(app, base_url="http://127.0.0.1:8480", client=(peer, 1)))


def test_a_trusted_proxy_says_for_whom_it_asks_in_brake_and_audit(world) -> None:
    proxy = proxied(world, "10.0.0.5")

    def sent(forwarded: str) -> int:
        return proxy.post(
            "/sign-in", {"name": "ada", "password": "guess"}, headers={"X-Forwarded-For": forwarded}
        ).status_code

    tries = [sent(f"{number}.1.1.1, 198.51.100.7, 10.0.0.9") for number in range(1, FREE_TRIES + 2)]
    assert tries == [403] * FREE_TRIES + [429], "what a client puts in front of its own address is nothing"
    assert sent("203.0.113.1:4711") == 403, "another client"
    assert '"client": "198.51.100.7"' in world.audit()
    assert '"client": "203.0.113.1"' in world.audit()
    assert "1.1.1.1" not in world.audit()


def test_forwarded_addresses_from_anybody_else_are_ignored(world) -> None:
    stranger = proxied(world, "192.0.2.1")
    tries = [
        stranger.post(
            "/sign-in", {"name": "ada", "password": "guess"}, headers={"X-Forwarded-For": f"10.1.1.{number}"}
        ).status_code
        for number in range(FREE_TRIES + 1)
    ]
    assert tries == [403] * FREE_TRIES + [429]
    assert "10.1.1." not in world.audit()


def test_one_ipv6_network_is_one_client(world) -> None:
    codes = [guess(world, proxied(world, f"2001:db8:0:1::{number}"), 1)[0] for number in range(1, FREE_TRIES + 2)]
    assert codes == [403] * FREE_TRIES + [429]


def test_passwords_wait_in_line_known_browsers_first_and_beyond_a_few_it_is_busy() -> None:
    async def run() -> None:
        queue, go, order = PasswordQueue(most=2), threading.Event(), []
        first = asyncio.create_task(queue.run(lambda: go.wait(30)))
        await asyncio.sleep(0)
        waiting = [
            asyncio.create_task(queue.run(lambda name=name: order.append(name), known=known))
            for name, known in [("s1", False), ("s2", False), ("k1", True)]
        ]
        await asyncio.sleep(0)
        assert queue.is_full()
        with pytest.raises(Busy):
            await queue.run(lambda: None)
        assert not queue.is_full(known=True), "strangers do not fill the line of known browsers"
        waiting[1].cancel()
        await asyncio.sleep(0)
        assert not queue.is_full(), "whoever leaves makes room"
        go.set()
        await asyncio.gather(first, *waiting, return_exceptions=True)
        assert order == ["k1", "s1"]
        await queue.run(lambda: order.append("later"))
        assert order[-1] == "later"

    asyncio.run(run())


def test_a_line_that_is_full_is_answered_at_once_and_counts_as_no_guess(world) -> None:
    async def fill() -> list[int]:
        go = threading.Event()
        running = [asyncio.create_task(world.portal.passwords.run(lambda: go.wait(30))) for _ in range(9)]
        transport = httpx.ASGITransport(app=world.browser().client.app)
        headers = {"Origin": "http://127.0.0.1:8480"}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8480", headers=headers) as client:
            await asyncio.sleep(0)
            answers = [await client.post("/sign-in", data={"name": "ada", "password": "x"}) for _ in range(20)]
            assert {answer.headers["retry-after"] for answer in answers} == {"5"}
            go.set()
            await asyncio.gather(*running)
            answers.append(await client.post("/sign-in", data={"name": "ada", "password": PASSWORD}))
        return [answer.status_code for answer in answers]

    assert asyncio.run(fill()) == [503] * 20 + [303]


@pytest.mark.parametrize(("next", "target"), [("/devices/d1", "/devices/d1"), ("//evil.example", "/"), ("", "/")])
def test_whoever_is_signed_in_is_not_asked_again(world, ada, next, target) -> None:
    answer = ada.get(f"/sign-in?next={next}")
    assert (answer.status_code, answer.headers["location"]) == (303, target)
    assert world.browser().get(f"/sign-in?next={next}").status_code == 200


def test_an_audit_line_never_holds_the_password(world) -> None:
    world.browser().post("/sign-in", {"name": "ada", "password": "guess-this-one"})
    world.browser().post("/sign-in", {"name": "ada", "password": PASSWORD})
    assert "sign-in-refused" in world.audit()
    assert PASSWORD not in world.audit()
    assert "guess-this-one" not in world.audit()


def test_the_brake_waits_twice_as_long_each_time_and_forgets() -> None:
    clock = [0.0]
    brake = LoginBrake(lambda: clock[0])
    waits = []
    for _ in range(9):
        brake.failed("a")
        waits.append(brake.wait_for("a", "b"))
        clock[0] += waits[-1]
    assert waits == [0, 0, 0, 0, 5, 10, 20, 40, 80]
    assert brake.wait_for("b") == 0
    clock[0] += 3600
    brake.failed("a")
    assert brake.wait_for("a") == 0


def test_each_wait_is_told_once() -> None:
    clock = [0.0]
    brake = LoginBrake(lambda: clock[0], free=1)
    told = []
    for _ in range(3):
        brake.failed("a")
        told += [brake.first_held_back("a") for _ in range(3)]
        clock[0] += brake.wait_for("a")
    assert told == [True, False, False] * 3
    assert not brake.first_held_back("a"), "the wait is over"
    assert not brake.first_held_back("b")


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


def signed_in(world, name: str = "ada"):
    browser = world.browser()
    assert browser.post("/sign-in", {"name": name, "password": PASSWORD}).status_code == 303
    return browser


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


def test_a_link_signs_in_once_and_a_look_does_not_use_it_up(world) -> None:
    token = world.portal.sessions.make_link("demo", "operator")
    for _ in range(2):
        assert "Open the portal" in world.browser().get(f"/link/{token}").text
    assert world.browser().post("/link", {"token": token}).status_code == 303
    assert world.browser().post("/link", {"token": token}).status_code == 403


EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}"


def evil_world(world) -> None:
    twin = world.hub.twins["d1", MODULE_ID]
    for key in ("module", "selector", "hostname", "share"):
        twin.desired["exposures"]["web-out"][key] = EVIL
    twin.desired["exposures"]["evil"] = {"module": EVIL, "ports": [EVIL], "address": EVIL}
    twin.desired[EVIL] = EVIL
    twin.desired["site"]["reserved"] = {EVIL: "10.0.0.12"}
    world.hub.twins["d1", None].tags[EVIL] = EVIL
    agent = world.hub.twins["d1", "$edgeAgent"]
    agent.desired["modules"][EVIL] = {"settings": {"image": EVIL, "createOptions": "{}"}}
    agent.reported["modules"] = {EVIL: {"runtimeStatus": EVIL}, "web": {"runtimeStatus": EVIL}}
    report = {
        "lastDesiredVersion": 1,
        "lastDesiredStatus": {"code": 400, "description": EVIL},
        "cluster": {"version": EVIL, "loadBalancer": EVIL, "api": EVIL},
        "pool": {"ranges": EVIL, "size": 3, "reason": EVIL},
        "warnings": [EVIL],
        "exposures": {
            name: {
                "state": "Blocked",
                "address": EVIL,
                "service": f"{EVIL}/{EVIL}",
                "since": EVIL,
                "reason": EVIL,
                "message": EVIL,
            }
            for name in ("web-out", "evil", EVIL)
        },
    }
    world.hub.report("d1", MODULE_ID, report)


@pytest.mark.parametrize(
    "path",
    [
        "/devices",
        f"/devices?q={EVIL}&tag={EVIL}&show={EVIL}",
        "/devices/d1",
        "/devices/d1/exposures/web-out",
        "/devices/d1/exposures/evil",
        "/devices/d1/exposures/" + "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/devices/d1/who-wins",
        "/devices/d1/history",
        "/devices/d1/twin",
        "/devices/d1/network",
        f"/devices/d1/expose?module={EVIL}&address={EVIL}&preset={EVIL}",
        f"/sign-in?next={EVIL}",
        f"/devices/{EVIL.replace('/', '')}",
    ],
)
def test_markup_from_twins_and_addresses_stays_text(world, ada, path) -> None:
    evil_world(world)
    text = ada.get(path).text
    assert "<script>alert" not in text
    assert not re.search(r"<img[^>]*onerror", text)
    assert "javascript:" not in text
    assert not re.search(r'href="(?!/|http://|https://|rtsp://|#main)', text)
    assert "&#39;49" not in text


def test_what_the_device_says_when_asked_stays_text_too(world, ada) -> None:
    from edge_expose_cloud.hub.api import MethodResult

    checks = [{"check": EVIL, "ok": True, "found": EVIL}, {"check": [EVIL], "ok": EVIL, "found": {"a": EVIL}}, EVIL]
    answers = [{"exposures": {"web-out": {"checks": checks}}}, {"error": EVIL}, EVIL, {"exposures": EVIL}, None]
    for payload in answers:
        world.hub.invoke = lambda *_, payload=payload, **__: MethodResult(200, payload)
        answer = ada.get("/devices/d1/exposures/web-out/checks")
        assert answer.status_code == 200
        assert "<script>" not in answer.text


def test_an_address_that_is_no_address_is_never_a_link(world, ada) -> None:
    report = {"exposures": {"web-out": {"state": "Ready", "address": "evil.example/x?", "service": "d1/web-out"}}}
    world.hub.report("d1", MODULE_ID, report)
    text = ada.get("/devices/d1").text
    assert "evil.example" in text
    assert 'href="http://evil.example' not in text


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2fapp.py",
        "/static/....//app.py",
        "/static//etc/passwd",
        "/devices/..%2f..%2fetc%2fpasswd",
        "/devices/d1/../../etc/passwd",
        "/devices/%2e%2e/spec.yaml",
    ],
)
def test_no_path_leads_out(ada, path) -> None:
    answer = ada.get(path)
    assert answer.status_code in (303, 404)
    assert "root:" not in answer.text
    assert "import" not in answer.text


@pytest.mark.parametrize(
    "name", ["../../users.json", "d1-../users.json", "/etc/passwd", "users.json", "d1-20260101T000000000000Z.json"]
)
def test_a_backup_that_is_none_is_never_read(world, ada, name) -> None:
    answer = ada.change("/devices/d1/plan", kind="revert", name=name)
    assert answer.status_code == 409
    assert "argon2" not in answer.text


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/\nX: y"]
)
def test_signing_in_leads_only_inside(world, target) -> None:
    answer = world.browser().post("/sign-in", {"name": "ada", "password": PASSWORD, "next": target})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8480",
        "",
        "127.0.0.1.evil.example",
        "[::1",
        "evil.example@127.0.0.1",
        "evil@localhost:8480",
        "127.0.0.1/evil.example",
        "127.0.0.1:8480/x",
        "localhost?x",
        "localhost#x",
        "localhost:",
        "local host",
        "localhost:8480:8480",
        "127.0.0.1,evil.example",
    ],
)
def test_a_name_that_is_not_ours_opens_nothing(ada, host) -> None:
    assert ada.get("/devices", headers={"Host": host}).status_code in (400, 421)


@pytest.mark.parametrize("host", ["LOCALHOST", "LocalHost:8480", "localhost.", "127.0.0.1:1"])
def test_a_name_of_ours_is_known_however_it_is_written(ada, host) -> None:
    assert ada.get("/devices", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("told", ["Portal.Example", "PORTAL.EXAMPLE", "portal.example."])
def test_a_host_name_may_be_told_in_any_case(told) -> None:
    hosts = Hosts(["10.0.0.1", "FD00::1", told])
    assert hosts.knows("portal.example:443")
    assert hosts.knows("Portal.example")
    assert hosts.knows("[fd00::1]:8480")
    assert not hosts.knows("example")


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"kind":"rm"}', '{"kind":"ranges","name":1,"fields":{}}', "[" * 20_000, "nul"]
)
def test_a_plan_that_was_tampered_with_is_refused(world, ada, text) -> None:
    before = world.desired()
    answer = ada.change("/devices/d1/apply", change=text, digest="0" * 64)
    assert answer.status_code == 409
    assert world.desired() == before


def test_an_apply_without_the_digest_of_a_plan_that_was_shown_is_refused(world, ada) -> None:
    for digest in ("", "0" * 64):
        assert ada.change("/devices/d1/apply", change=REMOVE, digest=digest).status_code == 409
    assert "web-out" in world.desired()["exposures"]


@pytest.mark.parametrize(
    "path", ["/sign-in", "/devices", "/devices/d1", "/static/style.css", "/nothing", "/api/devices/x"]
)
def test_every_answer_carries_the_strict_headers(ada, path) -> None:
    headers = ada.get(path).headers
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == ("public, max-age=3600" if path.startswith("/static") else "no-store")


@pytest.mark.parametrize("path", ["/devices/d1", "/api/devices/d1"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_mistake_of_ours_is_answered_with_the_strict_headers_and_no_detail(world, ada, caplog, path, method) -> None:
    def broken(call: str) -> None:
        raise ZeroDivisionError("hidden detail")

    world.hub.before = broken
    answer = ada.client.request(method, path)
    assert answer.status_code == 500
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert "hidden detail" not in answer.text
    assert "hidden detail" in caplog.text
    assert world.browser().get("/sign-in").status_code == 200


@pytest.mark.parametrize(
    "path", ["/devices", "/devices/d1", "/devices/d1/expose", "/devices/d1/exposures/web-out", "/sign-in"]
)
def test_no_page_has_inline_script_or_style(ada, path) -> None:
    text = ada.get(path).text
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", text)


def test_accounts_are_kept_private_and_bad_ones_are_refused(tmp_path) -> None:
    path = tmp_path / "deep" / "users.json"
    accounts = Accounts(path)
    accounts.add("ada", "operator", PASSWORD)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert PASSWORD not in path.read_text()
    assert accounts.verify("ada", PASSWORD).role == "operator"
    assert accounts.verify("ada", PASSWORD + "x") is None
    assert accounts.verify("nobody", PASSWORD) is None
    assert accounts.verify("nobody", "nobody has this password") is None
    for name, role, password in [
        ("", "viewer", PASSWORD),
        ("a/b", "viewer", PASSWORD),
        ("a", "root", PASSWORD),
        ("a", "viewer", "short"),
    ]:
        with pytest.raises(AccountError):
            accounts.add(name, role, password)
    path.write_text("{broken")
    with pytest.raises(AccountError):
        accounts.all()
