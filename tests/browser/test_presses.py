"""A press counts: what comes in while a button is held down neither moves it nor takes it away."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import text_of_page

pytestmark = [pytest.mark.browser, pytest.mark.local]


def hold(page: Any, button: Any) -> None:
    """Presses the mouse on a button and does not let go."""
    button.hover()
    page.mouse.down()


def fill(page: Any, address: str) -> None:
    page.goto("/devices/edge1/expose?module=broker")
    page.get_by_label("Port outside, row 1").fill("7060")
    page.get_by_label("Port in the app, row 1").fill("80")
    page.get_by_label("This address").check()
    page.get_by_label("External service IP", exact=True).fill(address)
    page.get_by_label("Name", exact=True).fill("pressed")


def fill_and_wait_for_the_check(page: Any) -> None:
    """Fields without the mouse: what is checked before the last of them is another answer."""
    with page.expect_response(lambda answer: "name=pressed" in (answer.request.post_data or "")) as answer:
        page.get_by_label("Port outside, row 1").fill("7061")
        page.get_by_label("Name", exact=True).fill("pressed")
    answer.value.finished()
    page.evaluate("new Promise(go => setTimeout(go, 100))")  # the script has had its turn


@pytest.mark.parametrize("refused", [False, True], ids=["what is checked comes in", "what was wrong goes away"])
def test_show_the_plan_counts_while_the_check_changes_the_page(open_page: Any, served: Any, refused: bool) -> None:
    page, address = open_page(), served.local.address(18)
    show = page.get_by_role("button", name="Show the plan")
    fill(page, "127.1.1.1" if refused else address)
    if refused:
        show.click()
        page.locator("#refused").wait_for()
        page.get_by_label("External service IP", exact=True).fill(address)
    with page.expect_response("**/check") as answer:
        hold(page, show)
    answer.value.finished()
    page.evaluate("new Promise(go => setTimeout(go, 100))")  # the script has had its turn
    page.mouse.up()
    page.get_by_role("heading", name="Expose pressed").wait_for()


def test_a_button_of_a_page_that_follows_its_device_counts_while_the_page_changes(open_page: Any, served: Any) -> None:
    page = open_page()
    page.goto("/devices/edge1/exposures/shop")
    page.locator("h1 + .pill", has_text="Ready").wait_for()
    before = page.locator("#exposure").inner_html()
    changed = before.replace("Ready endpoints", "Ready endpoints now")
    page.route("**/fragment", lambda route: route.fulfill(body=changed, content_type="text/html"))
    disable = page.get_by_role("button", name="Disable")
    hold(page, disable)
    with page.expect_response("**/fragment") as answer:
        page.evaluate("document.dispatchEvent(new Event('signed-in'))")  # as after signing in elsewhere
    answer.value.finished()
    page.evaluate("new Promise(go => setTimeout(go, 100))")
    page.mouse.up()
    page.get_by_role("heading", name="Disable shop").wait_for()


def test_what_is_folded_stays_so_and_what_is_not_as_well(open_page: Any, served: Any) -> None:
    """By what it is about: a section that comes before it in the new page takes nothing of it."""
    page = open_page()
    page.goto("/devices/edge1/exposures/shop")
    page.locator("summary", has_text="Why it is Ready").click()
    html = page.locator("#exposure").inner_html()
    blocked = html.replace("Why it is Ready", "Why it is Blocked").replace('<details open="">', "<details>")
    code = '<details class="codes"><summary>Details</summary><p>code</p></details>'
    page.route("**/fragment", lambda route: route.fulfill(body=code + blocked, content_type="text/html"))
    page.evaluate("document.dispatchEvent(new Event('signed-in'))")
    page.locator("summary", has_text="Why it is Blocked").wait_for()
    opened = page.locator("#exposure details").evaluate_all("all => all.map((item) => item.open)")
    assert opened == [False, True]


def test_what_came_in_meanwhile_is_shown_after_the_press(open_page: Any) -> None:
    page = open_page()
    page.goto("/devices/edge1/expose?module=broker")
    page.mouse.move(5, 300)
    page.mouse.down()
    fill_and_wait_for_the_check(page)
    assert page.locator("#check").inner_text() == ""
    page.mouse.up()
    page.locator("#check", has_text="Service edge1/pressed").wait_for()


def test_a_release_that_is_never_told_ends_with_the_next_move(open_page: Any) -> None:
    page = open_page()
    page.goto("/devices/edge1/expose?module=broker")
    page.evaluate("dispatchEvent(new PointerEvent('pointerdown', {button: 0, buttons: 1}))")
    fill_and_wait_for_the_check(page)
    assert page.locator("#check").inner_text() == ""
    page.mouse.move(5, 300)
    page.locator("#check", has_text="Service edge1/pressed").wait_for()


def test_a_page_tells_its_url_its_text_and_its_fields(open_page: Any) -> None:
    """What a failing test shows of its pages."""
    page = open_page()
    page.goto("/devices/edge1/expose?module=broker")
    page.get_by_label("Name", exact=True).fill("typed-name")
    text = text_of_page(page)
    assert "/devices/edge1/expose" in text
    assert "Show the plan" in text
    assert "name = typed-name" in text
    page.close()
    assert "/devices/edge1/expose" in text_of_page(page)
