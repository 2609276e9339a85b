"""An operator keeps the account in order with the keyboard: a token, another password, the end of a session."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import PASSWORD, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.local]
NEW = "another horse entirely"


def test_a_token_a_password_and_a_session_by_keyboard(open_page: Any, served: Any) -> None:
    page, elsewhere = open_page("vic"), open_page("vic")
    page.get_by_role("link", name="vic viewer").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Your account").wait_for()
    sessions = page.get_by_role("list", name="Your sessions").get_by_role("listitem")
    assert sessions.count() >= 2

    page.get_by_label("Purpose").focus()
    page.keyboard.type("ci")
    page.keyboard.press("Tab")  # the scope: a viewer has one choice
    page.keyboard.press("Tab")  # the days
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    token = page.get_by_label("Token", exact=True).input_value()
    asked = page.request.get("/api/session", headers={"Authorization": f"Bearer {token}"})
    assert asked.json()["role"] == "viewer"
    page.get_by_role("button", name="Revoke token ci").press("Enter")
    page.get_by_text("The token was revoked.").wait_for()
    assert page.request.get("/api/session", headers={"Authorization": f"Bearer {token}"}).status == 401

    for old, new in ((PASSWORD, NEW), (NEW, PASSWORD)):
        page.get_by_label("Current password").fill(old)
        page.get_by_label("New password", exact=True).fill(new)
        page.get_by_label("New password again").fill(new)
        page.keyboard.press("Enter")
        page.get_by_text("Your password was changed.").wait_for()
        assert sessions.count() == 1
    elsewhere.goto("/devices")
    elsewhere.get_by_role("heading", name="Sign in").wait_for()

    sign_in(elsewhere, "vic")
    page.reload()
    page.get_by_role("button", name="End the session of vic").press("Enter")
    page.get_by_text("The session has ended.").wait_for()
    elsewhere.goto("/devices")
    elsewhere.get_by_role("heading", name="Sign in").wait_for()


def test_a_link_from_elsewhere_opens_the_page_of_whoever_is_signed_in(open_page: Any, served: Any) -> None:
    page = open_page()
    page.route(
        "http://mail.example/",
        lambda route: route.fulfill(body=f'<a href="{served.url}/devices/edge1">look</a>', content_type="text/html"),
    )
    page.goto("http://mail.example/")
    page.get_by_role("link", name="look").click()
    page.get_by_role("heading", name="edge1").wait_for()
    page.goto("/sign-in")
    page.get_by_role("heading", name="Fleet").wait_for()
