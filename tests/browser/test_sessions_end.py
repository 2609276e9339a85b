"""A session ends while pages are open: they say so, keep what was typed, and go on after signing in in another tab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import PASSWORD, serve, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.local]
SIGNED_OUT = "Your session has ended"


def sign_out_elsewhere(page: Any) -> None:
    other = page.context.new_page()
    other.goto("/devices")
    other.get_by_role("button", name="Sign out").click()
    other.get_by_role("heading", name="Sign in").wait_for()
    other.close()


def sign_in_by_the_link(page: Any) -> None:
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Sign in in a new tab").click()
    sign_in(opened.value)
    opened.value.close()
    page.bring_to_front()


def test_a_form_keeps_what_was_typed_and_is_sent_after_signing_in_again(open_page: Any) -> None:
    page = open_page()
    page.goto("/devices/edge1/expose?module=broker")
    page.get_by_label("Name", exact=True).fill("kept")
    sign_out_elsewhere(page)
    page.get_by_label("Port outside, row 1").fill("7050")
    page.get_by_text(SIGNED_OUT).wait_for()
    page.get_by_role("button", name="Show the plan").click()
    page.get_by_text(SIGNED_OUT).wait_for()
    assert page.get_by_label("Name", exact=True).input_value() == "kept"
    sign_in_by_the_link(page)
    page.get_by_label("Port in the app, row 1").fill("80")
    page.locator("#check", has_text="Service edge1/kept").wait_for()
    assert page.get_by_text(SIGNED_OUT).count() == 0
    page.get_by_role("button", name="Show the plan").click()
    page.get_by_role("heading", name="Expose kept").wait_for()


def test_a_plan_waits_for_somebody_who_signs_in_again(open_page: Any) -> None:
    page = open_page()
    page.goto("/devices/edge1/exposures/shop")
    page.get_by_role("button", name="Disable").click()
    page.get_by_role("heading", name="Disable shop").wait_for()
    sign_out_elsewhere(page)
    page.get_by_text(SIGNED_OUT).wait_for()
    page.get_by_role("button", name="Apply").click()
    page.get_by_text(SIGNED_OUT).wait_for()
    page.get_by_role("heading", name="Disable shop").wait_for()


def test_a_page_that_follows_a_device_says_that_it_is_signed_out_and_follows_again(open_page: Any) -> None:
    page = open_page()
    page.goto("/devices/edge1")
    page.locator(".status", has_text="Connected to IoT Hub").wait_for()
    sign_out_elsewhere(page)
    page.get_by_text(SIGNED_OUT).wait_for()
    assert page.get_by_role("heading", name="edge1").count() == 1
    sign_in_by_the_link(page)
    page.get_by_text(SIGNED_OUT).wait_for(state="detached")
    page.locator("#state[data-stale]").wait_for(state="detached")


def test_a_form_that_is_sent_before_the_page_noticed_goes_through_the_sign_in_page(open_page: Any) -> None:
    page = open_page()
    page.goto("/devices/edge1/expose?module=broker")
    page.get_by_label("Name", exact=True).fill("kept")
    page.get_by_label("Port outside, row 1").fill("7051")
    page.get_by_label("Port in the app, row 1").fill("80")
    token = page.evaluate("csrf()")
    page.route("**/check", lambda route: route.fulfill(body="", content_type="text/html"))
    page.route("**/api/session", lambda route: route.fulfill(json={"csrfToken": token}))  # it looked just before
    sign_out_elsewhere(page)
    page.get_by_role("button", name="Show the plan").click()
    page.get_by_text("what you typed is kept").wait_for()
    page.unroute_all()
    enter(page)
    page.get_by_role("heading", name="Expose an app").wait_for()
    assert page.get_by_label("Name", exact=True).input_value() == "kept"
    assert page.get_by_label("Port outside, row 1").input_value() == "7051"
    page.get_by_role("button", name="Show the plan").click()
    page.get_by_role("heading", name="Expose kept").wait_for()


def test_a_page_that_slept_looks_before_it_sends(open_page: Any) -> None:
    page = open_page()
    page.clock.install()
    page.goto("/devices/edge1/expose?module=broker")
    page.get_by_label("Name", exact=True).fill("kept")
    sign_out_elsewhere(page)
    page.clock.set_fixed_time("2040-01-01T00:00:00Z")  # no timer of the page ran meanwhile
    page.get_by_role("button", name="Show the plan").click()
    page.get_by_text(SIGNED_OUT).wait_for()
    assert page.get_by_label("Name", exact=True).input_value() == "kept"


def test_a_plan_that_a_restart_lost_comes_back_with_its_note_or_as_its_form(
    open_page: Any, served: Any, tmp_path: Path
) -> None:
    first = serve(served.local, tmp_path)
    try:
        page = open_page("")
        page.goto(f"{first.url}/sign-in")
        enter(page)
        page.goto(f"{first.url}/devices/edge1/expose?module=broker")
        page.get_by_label("Name", exact=True).fill("kept")
        page.get_by_label("Port outside, row 1").fill("7052")
        page.get_by_label("Port in the app, row 1").fill("80")
        page.get_by_role("button", name="Show the plan").click()
        page.get_by_label("Note (optional)").fill("ticket 7")
        lost = page.url
    finally:
        first.process.terminate()
        first.process.wait(10)
    second = serve(served.local, tmp_path, "--listen", first.url.removeprefix("http://"))
    try:
        page.goto(lost)
        enter(page)
        page.get_by_role("heading", name="This plan is no longer kept").wait_for()
        page.get_by_role("button", name="Show the plan again").click()
        page.get_by_role("heading", name="Expose kept").wait_for()
        assert page.get_by_label("Note (optional)").input_value() == "ticket 7"
        page.goto(lost)
        page.get_by_role("button", name="Back to the form").click()
        page.get_by_role("heading", name="Expose an app").wait_for()
        assert page.get_by_label("Port outside, row 1").input_value() == "7052"
    finally:
        second.process.terminate()
        second.process.wait(10)


def enter(page: Any) -> None:
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()
