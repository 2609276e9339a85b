"""The account page: another password, sessions that end, tokens that are shown once."""

from __future__ import annotations

import html
import re

import pytest

from edge_expose_cloud.portal.auth.accounts import Accounts
from edge_expose_cloud.portal.auth.sessions import FREE_TRIES
from edge_expose_cloud.portal.pages.account import browser_words

PASSWORD = "correct horse battery"
NEW = "another horse entirely"


def signed_in(world, name: str = "ada", password: str = PASSWORD):
    browser = world.browser()
    assert browser.post("/sign-in", {"name": name, "password": password}).status_code == 303
    return browser


def change(browser, current: str = PASSWORD, new: str = NEW, again: str = NEW):
    return browser.change("/account/password", current=current, new=new, again=again)


def id_of(world, browser) -> str:
    return world.portal.sessions.find(browser.client.cookies[world.portal.cookie]).id


def test_whoever_changes_the_password_stays_signed_in_here_and_nowhere_else(world) -> None:
    here, elsewhere, other = signed_in(world), signed_in(world), signed_in(world, "vic")
    answer = change(here)
    assert answer.headers["location"] == "/account?done=password"
    assert "Your password was changed" in here.get("/account?done=password").text
    assert elsewhere.get("/devices").status_code == 303
    assert other.get("/devices").status_code == 200
    assert world.browser().post("/sign-in", {"name": "ada", "password": PASSWORD}).status_code == 403
    assert signed_in(world, password=NEW)
    assert Accounts(world.portal.settings.users).all()["ada"].role == "operator"
    assert '"action": "password-changed"' in world.audit()
    assert NEW not in world.audit()


@pytest.mark.parametrize(
    ("typed", "status", "says"),
    [
        pytest.param({"current": "wrong"}, 403, "current password is wrong", id="not the password"),
        pytest.param({"again": NEW + "x"}, 422, "do not match", id="typed differently"),
        pytest.param({"new": "short", "again": "short"}, 422, "10 to 256 characters", id="too short"),
        pytest.param({"new": "x" * 257, "again": "x" * 257}, 422, "10 to 256 characters", id="too long"),
    ],
)
def test_a_password_that_will_not_do_changes_nothing(world, typed, status, says) -> None:
    ada = signed_in(world)
    before = world.portal.settings.users.read_text()
    answer = change(ada, **typed)
    assert answer.status_code == status
    assert says in answer.text
    assert world.portal.settings.users.read_text() == before
    assert ada.get("/devices").status_code == 200


def test_a_session_that_somebody_got_hold_of_guesses_no_faster_than_a_stranger(world) -> None:
    thief, thief_again = signed_in(world), signed_in(world)
    codes = [change(thief, current=f"guess {number}").status_code for number in range(FREE_TRIES + 1)]
    assert codes == [403] * FREE_TRIES + [429]
    assert change(thief_again).status_code == 429, "another session of the account is no way around"
    assert make(thief_again).status_code == 429, "nor is another form"
    assert signed_in(world), "the owner still gets in"


def test_people_see_their_sessions_and_end_them(world) -> None:
    here, phone = signed_in(world), signed_in(world)
    text = here.get("/account").text
    assert text.count("Sign out<span") == 1
    assert "this session" in text
    assert here.change("/account/sessions/end", session=id_of(world, phone)).status_code == 303
    assert phone.get("/devices").status_code == 303
    assert '"action": "session-ended"' in world.audit()
    third, fourth = signed_in(world), signed_in(world)
    assert here.change("/account/sessions/end", session="others").status_code == 303
    assert [browser.get("/devices").status_code for browser in (here, third, fourth)] == [200, 303, 303]
    answer = here.change("/account/sessions/end", session=id_of(world, here))
    assert answer.headers["location"] == "/sign-in"
    assert here.get("/devices").status_code == 303


def test_an_operator_ends_the_session_of_a_one_time_link_and_a_viewer_nobodys_but_its_own(world) -> None:
    ada, vic, linked = signed_in(world), signed_in(world, "vic"), world.browser()
    token = world.portal.sessions.make_link("demo", "operator")
    assert linked.post("/link", {"token": token}).status_code == 303
    assert "one-time link" not in vic.get("/account").text
    for other in (id_of(world, linked), id_of(world, ada)):
        assert vic.change("/account/sessions/end", session=other).status_code == 404
    assert linked.get("/devices").status_code == 200
    assert "one-time link" in ada.get("/account").text
    assert "no password and no API tokens" in linked.get("/account").text
    assert ada.change("/account/sessions/end", session=id_of(world, linked)).status_code == 303
    assert linked.get("/devices").status_code == 303


def test_the_page_shows_no_cookie_and_no_hash(world) -> None:
    ada = signed_in(world)
    text = ada.get("/account").text
    assert ada.client.cookies[world.portal.cookie] not in text
    assert "argon2" not in text


def make(browser, **typed: str):
    fields = {"token_name": "ci", "scope": "operator", "days": "30", "password": PASSWORD, **typed}
    return browser.change("/account/tokens", **fields)


def test_a_token_is_shown_once_used_and_revoked(world) -> None:
    ada, program = signed_in(world), world.browser().client
    answer = make(ada)
    assert answer.status_code == 200
    token = html.unescape(re.search(r'class="token" value="([^"]+)"', answer.text)[1])
    headers = {"Authorization": f"Bearer {token}"}
    assert program.get("/api/session", headers=headers).json()["role"] == "operator"
    text = ada.get("/account").text
    assert "<b>ci</b>" in text
    assert token not in text
    assert token not in world.audit()
    id = re.search(r'name="token" value="([0-9a-f]{8})"', text)[1]
    vic = signed_in(world, "vic")
    assert vic.change("/account/tokens/revoke", token=id).status_code == 422
    assert program.get("/api/session", headers=headers).status_code == 200
    assert ada.change("/account/tokens/revoke", token=id).status_code == 303
    assert program.get("/api/session", headers=headers).status_code == 401
    assert [f'"action": "token-{what}"' in world.audit() for what in ("added", "revoked")] == [True, True]


@pytest.mark.parametrize(
    ("name", "typed", "status"),
    [
        pytest.param("ada", {"password": "wrong"}, 403, id="without the password"),
        pytest.param("vic", {}, 403, id="more than the role"),
        pytest.param("ada", {"days": "366"}, 422, id="too long"),
        pytest.param("ada", {"days": "-1"}, 422, id="no days"),
        pytest.param("ada", {"days": "1e9"}, 422, id="no number"),
        pytest.param("ada", {"scope": "root"}, 422, id="no scope"),
        pytest.param("ada", {"token_name": " "}, 422, id="no name"),
    ],
)
def test_a_token_that_will_not_do_is_not_made_and_what_was_typed_stays(world, name, typed, status) -> None:
    answer = make(signed_in(world, name), **{"token_name": "typed-by-me", **typed})
    assert answer.status_code == status
    assert typed.get("token_name") or "typed-by-me" in answer.text
    assert 'class="token"' not in answer.text
    assert PASSWORD not in answer.text
    assert world.portal.tokens.all() == {}


def test_a_one_time_link_makes_no_token_and_changes_no_password(world) -> None:
    linked = world.browser("ada")  # by a link, though an account of that name exists
    assert make(linked).status_code == 403
    assert change(linked).status_code == 403
    assert linked.change("/account/tokens/revoke", token="x").status_code == 403


@pytest.mark.parametrize(
    "path", ["/account/password", "/account/sessions/end", "/account/tokens", "/account/tokens/revoke"]
)
def test_another_site_and_another_session_change_nothing_here(world, path) -> None:
    ada = signed_in(world)
    fields = {"current": PASSWORD, "new": NEW, "again": NEW, "session": id_of(world, ada), "password": PASSWORD}
    for csrf in ("", signed_in(world).csrf):
        assert ada.post(path, {**fields, "csrf": csrf}).status_code == 403
    answer = ada.post(path, {**fields, "csrf": ada.csrf}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert ada.get("/devices").status_code == 200
    assert world.browser().post(path, fields).status_code == 401


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36 Edg/140.0",
            "Edge on Windows",
        ),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18 Safari/605.1.15", "Safari on macOS"),
        ("Mozilla/5.0 (Linux; Android 14) Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5", "a program"),
        ("<script>", "a program"),
        ("", "unknown"),
    ],
)
def test_a_browser_is_named_in_words(agent, words) -> None:
    assert browser_words(agent) == words
