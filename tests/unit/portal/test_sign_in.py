"""Signing in: guesses, throttles, known browsers, proxies, the line of passwords, accounts and links."""

from __future__ import annotations

import asyncio
import os
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
from edge_expose_cloud.portal.auth.sessions import FREE_TRIES, LoginThrottle
from edge_expose_cloud.portal.http.guards import Hosts

from .conftest import PASSWORD, Browser, signed_in


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
        world.portal.name_throttle.failed("ada")
        world.portal.address_throttle.failed(f"10.0.0.{key}")
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


def test_a_trusted_proxy_says_for_whom_it_asks_in_throttle_and_audit(world) -> None:
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


def test_the_throttle_waits_twice_as_long_each_time_and_forgets() -> None:
    clock = [0.0]
    throttle = LoginThrottle(lambda: clock[0])
    waits = []
    for _ in range(9):
        throttle.failed("a")
        waits.append(throttle.wait_for("a", "b"))
        clock[0] += waits[-1]
    assert waits == [0, 0, 0, 0, 5, 10, 20, 40, 80]
    assert throttle.wait_for("b") == 0
    clock[0] += 3600
    throttle.failed("a")
    assert throttle.wait_for("a") == 0


def test_each_wait_is_told_once() -> None:
    clock = [0.0]
    throttle = LoginThrottle(lambda: clock[0], free=1)
    told = []
    for _ in range(3):
        throttle.failed("a")
        told += [throttle.first_held_back("a") for _ in range(3)]
        clock[0] += throttle.wait_for("a")
    assert told == [True, False, False] * 3
    assert not throttle.first_held_back("a"), "the wait is over"
    assert not throttle.first_held_back("b")


def test_a_link_signs_in_once_and_a_look_does_not_use_it_up(world) -> None:
    token = world.portal.sessions.make_link("demo", "operator")
    for _ in range(2):
        assert "Open the portal" in world.browser().get(f"/link/{token}").text
    assert world.browser().post("/link", {"token": token}).status_code == 303
    assert world.browser().post("/link", {"token": token}).status_code == 403


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/\nX: y"]
)
def test_signing_in_leads_only_inside(world, target) -> None:
    answer = world.browser().post("/sign-in", {"name": "ada", "password": PASSWORD, "next": target})
    assert answer.headers["location"] == "/"


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
