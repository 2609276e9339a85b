"""The portal in a real browser, over real processes: expose, open, edit, remove; two people; a device away; a cure."""

from __future__ import annotations

import re
from typing import Any

import pytest

from edge_expose_cloud.adapters.iothub import Credentials, IotHub
from support.waiting import eventually

pytestmark = [pytest.mark.browser, pytest.mark.local]


def expect_state(page: Any, state: str, timeout: int = 40000) -> None:
    page.locator("h1 + .pill", has_text=state).wait_for(timeout=timeout)


def expose(page: Any, name: str, module: str, out: str, target: str, address: str = "") -> None:
    """Fills in the form up to the plan."""
    page.goto("/devices/edge1/expose")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Module", exact=True).select_option(module)
    page.get_by_label("Port outside, row 1").fill(out)
    page.get_by_label("Port in the app, row 1").fill(target)
    if address:
        page.get_by_label("This address").check()
        page.get_by_label("External service IP", exact=True).fill(address)
    page.get_by_role("button", name="Show the plan").click()


def remove(page: Any, name: str) -> None:
    page.goto(f"/devices/edge1/exposures/{name}")
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("heading", name="edge1").wait_for()
    page.locator("#state").get_by_role("link", name=name, exact=True).wait_for(state="detached")


def test_from_the_fleet_to_an_app_that_opens_then_edit_then_remove(open_page, served) -> None:
    page = open_page()
    local = served.local
    page.get_by_role("link", name="edge1").click()
    page.get_by_role("link", name=re.compile(r"\.17: free")).click()
    assert page.get_by_label("External service IP", exact=True).input_value() == local.address(17)
    page.get_by_role("button", name="Web page or API").click()
    page.get_by_label("Name", exact=True).fill("kiosk")
    page.get_by_label("Module", exact=True).select_option("webserver")
    page.locator("#check", has_text="Service edge1/kiosk").wait_for()
    page.get_by_role("button", name="Show the plan").click()
    page.get_by_role("heading", name="Expose kiosk").wait_for()
    assert "is created" in page.locator(".plan").inner_text()
    page.get_by_role("button", name="Apply").click()
    expect_state(page, "Ready")

    with page.context.expect_page() as opened:
        page.get_by_role("link", name=f"{local.address(17)}:8080").click()
    app = opened.value
    app.wait_for_load_state()
    assert app.url == f"http://{local.address(17)}:8080/"
    assert "Hello from the database" in app.content()
    app.close()

    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Port outside, row 1").fill("9091")
    page.get_by_role("button", name="Show the plan").click()
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("link", name=f"{local.address(17)}:9091").wait_for()
    expect_state(page, "Ready")
    eventually(lambda: page.request.get(f"http://{local.address(17)}:9091/").ok)

    page.get_by_role("button", name="Remove").click()
    assert f"{local.address(17)}:9091/tcp stops answering" in page.locator("main").inner_text()
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("heading", name="edge1").wait_for()
    page.locator("#state").get_by_role("link", name="kiosk", exact=True).wait_for(state="detached")
    page.get_by_role("link", name=re.compile(r"\.17: free")).wait_for()


def test_mistakes_are_said_while_typing_and_the_field_is_marked(open_page, served) -> None:
    page = open_page()
    page.goto("/devices/edge1/expose?module=webserver")
    page.get_by_label("Name", exact=True).fill("typing")
    page.get_by_label("This address").check()
    field = page.get_by_label("External service IP", exact=True)
    field.fill("127.1.1.1")
    page.locator("#check .error", has_text="127.1.1.1").first.wait_for()
    field.fill(served.local.address(10))
    page.locator("#check", has_text="edgehub").wait_for()
    field.fill(served.local.address(18))
    page.locator("#check", has_text="Service edge1/typing").wait_for()
    assert page.locator("[aria-invalid=true]").count() == 0


def test_an_error_is_said_in_one_place_before_and_while_it_is_corrected(open_page) -> None:
    page = open_page()
    expose(page, "typing", "broker", "7001", "80", "127.1.1.1")
    page.locator("#refused").get_by_role("link", name="External service IP").click()
    field = page.get_by_label("External service IP", exact=True)
    assert field.evaluate("item => item === document.activeElement"), "the summary leads to the field"
    page.wait_for_timeout(1000)
    assert page.locator("main").inner_text().count("127.1.1.1 is outside") == 1
    field.fill("127.1.1.2")
    page.locator("#check", has_text="127.1.1.2 is outside").wait_for()
    assert page.locator("main").inner_text().count(" is outside") == 1, "what was said before is gone"


def test_a_preset_keeps_what_was_typed_and_chosen(open_page, served) -> None:
    page = open_page()
    page.goto("/devices/edge1/expose")
    page.get_by_role("button", name="Web page or API").click()
    page.get_by_role("button", name="MQTT broker").click()
    assert page.get_by_label("Name", exact=True).input_value() == "mqtt", "a preset's own name is nobody's"
    page.get_by_label("Name", exact=True).fill("mine")
    page.get_by_label("Module", exact=True).select_option("broker")
    page.locator("summary", has_text="More").click()
    page.get_by_label("Clients that may connect").fill("10.1.0.0/16")
    for preset, port in (("Camera stream", "554"), ("OPC UA server", "4840")):
        page.get_by_role("button", name=preset).click()
        page.locator(".presets [aria-pressed=true]", has_text=preset).wait_for()
        assert page.get_by_label("Name", exact=True).input_value() == "mine"
        assert page.get_by_label("Module", exact=True).input_value() == "broker"
        assert page.get_by_label("Clients that may connect").input_value() == "10.1.0.0/16"
        assert page.get_by_label("Port outside, row 1").input_value() == port


def test_what_was_typed_is_there_after_back_cancel_and_a_reload(open_page, served) -> None:
    page = open_page()
    page.goto("/devices/edge1/expose?module=broker")
    page.get_by_label("Name", exact=True).fill("drafted")
    page.get_by_label("Port outside, row 1").fill("7077")
    page.get_by_label("Port in the app, row 1").fill("80")
    page.get_by_role("button", name="Add port").click()
    page.get_by_label("Port outside, row 2").fill("7078")
    page.get_by_label("This address").check()
    page.get_by_label("External service IP", exact=True).fill(served.local.address(19))

    def is_there() -> bool:
        page.get_by_role("heading", name="Expose an app").wait_for()
        fields = {"Name": "drafted", "Port outside, row 1": "7077", "Port outside, row 2": "7078"}
        fields["External service IP"] = served.local.address(19)
        return all(page.get_by_label(name, exact=True).input_value() == text for name, text in fields.items())

    page.reload()
    assert is_there()
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("heading", name="edge1").wait_for()
    page.go_back()
    assert is_there()
    page.get_by_role("button", name="Show the plan").click()
    page.get_by_role("heading", name="Expose drafted").wait_for()
    plan = page.url
    page.reload()
    page.get_by_role("heading", name="Expose drafted").wait_for()
    page.go_back()
    assert is_there()
    page.goto(plan)
    page.get_by_role("button", name="Apply").click()
    expect_state(page, "Ready")
    page.go_back()
    page.get_by_text("Nothing changes").wait_for()
    page.goto("/devices/edge1/expose")
    assert page.get_by_label("Name", exact=True).input_value() == "", "a new form is an empty one"
    remove(page, "drafted")


def test_the_device_tests_the_connection_when_it_is_asked(open_page, served) -> None:
    page = open_page()
    page.goto("/devices/edge1/exposures/shop")
    page.get_by_role("button", name="Test connection").click()
    page.locator(".note.good", has_text="answers in").wait_for()


def test_two_people_at_once_see_each_others_changes_and_never_overwrite_them(open_page, served) -> None:
    ada, vic = open_page("ada"), open_page("vic")
    vic.goto("/devices/edge1")
    assert vic.get_by_role("link", name="Expose an app").count() == 0
    assert vic.goto("/devices/edge1/expose").status == 403
    vic.goto("/devices/edge1")

    other = open_page("ada")
    expose(ada, "mine", "broker", "7001", "80")
    ada.get_by_role("heading", name="Expose mine").wait_for()
    expose(other, "theirs", "broker", "7002", "80")
    other.get_by_role("button", name="Apply").click()
    expect_state(other, "Ready")
    vic.locator("#state").get_by_role("link", name="theirs", exact=True).wait_for()
    vic.locator("#news[aria-live=polite]", has_text=re.compile("theirs is (new: Ready|Ready now)")).wait_for(
        state="attached"
    )

    # What the other did meanwhile has nothing to do with this plan: it goes on.
    ada.get_by_role("button", name="Apply").click()
    expect_state(ada, "Ready")
    vic.locator("#state").get_by_role("link", name="mine", exact=True).wait_for()
    for name in ("mine", "theirs"):
        remove(ada, name)
    vic.locator("#state").get_by_role("link", name="mine", exact=True).wait_for(state="detached")


def test_a_device_that_goes_offline_is_shown_so_and_comes_back(open_page, served) -> None:
    page = open_page()
    fleet = open_page("vic")
    page.goto("/devices/edge1")
    page.locator(".status", has_text="Connected to IoT Hub").wait_for()
    served.local.instance.fault("cloud-offline", {"device": "edge1"})
    try:
        page.locator(".status .pill", has_text="Offline").wait_for()
        page.get_by_text("this is the last known state").wait_for()
        fleet.locator("tr", has_text="edge1").locator(".pill", has_text="Offline").wait_for()
        expose(page, "later", "broker", "7005", "80")
        page.get_by_role("button", name="Apply").click()
        page.get_by_text("Waiting for the device").wait_for()
    finally:
        served.local.instance.clear_faults()
    expect_state(page, "Ready", 40000)
    remove(page, "later")


def test_open_pages_say_that_the_hub_fails_and_recover_by_themselves(open_page, served, tmp_path) -> None:
    fleet, device, exposure = open_page("ada"), open_page("vic"), open_page("ada")
    device.goto("/devices/edge1")
    exposure.goto("/devices/edge1/exposures/shop")
    device.locator(".status", has_text="Connected to IoT Hub").wait_for()
    expect_state(exposure, "Ready")
    pages = (fleet, device, exposure)
    served.local.instance.fault("http-status", {"status": 503, "count": -1})
    try:
        for page in pages:
            page.locator("#banner", has_text="IoT Hub does not answer").wait_for(timeout=30000)
            page.locator(".pill", has_text="last known: ").first.wait_for()
        for page in pages:
            text = page.locator("main").inner_text()
            assert "Connected to IoT Hub" not in text
            assert "Not connected" not in text
        device.reload()
        assert "last known: " in device.locator("main").inner_text()
        device.screenshot(path=tmp_path / "outage.png")
        fleet.screenshot(path=tmp_path / "outage-fleet.png")
    finally:
        served.local.instance.clear_faults()
    for page in pages:
        page.locator("#banner .banner").wait_for(state="detached", timeout=60000)
        page.locator(".pill", has_text="last known: ").first.wait_for(state="detached")
    expect_state(exposure, "Ready")


def test_a_blocked_exposure_says_why_and_a_wider_pool_cures_it(open_page, served) -> None:
    page, local = open_page(), served.local
    state = ["--state", str(local.instance.state)]
    wide = f"{local.address(10)}-{local.address(20)}"
    local.run(
        "local",
        "pool",
        "set",
        f"{local.address(11)}-{local.address(12)},{local.address(15)}-{local.address(15)}",
        *state,
    )
    try:
        page.goto("/devices/edge1")
        page.locator(".facts", has_text="0 of 3").wait_for()
        expose(page, "late", "broker", "7010", "80")
        page.get_by_role("button", name="Apply").click()
        expect_state(page, "Blocked")
        text = page.locator("main").inner_text()
        assert "no free address" in text
        assert "PoolExhausted" not in text, "the code is folded"
        assert "extend the external service IP range on the device" in text
    finally:
        local.run("local", "pool", "set", wide, *state)
    expect_state(page, "Ready")
    remove(page, "late")


def test_history_brings_an_exposure_back(open_page, served) -> None:
    page = open_page()
    expose(page, "again", "broker", "7020", "80")
    page.get_by_role("button", name="Apply").click()
    expect_state(page, "Ready")
    remove(page, "again")
    page.goto("/devices/edge1/history")
    page.get_by_role("listitem").filter(has_text="add again").first.get_by_role("button").click()
    page.get_by_role("button", name="Apply").click()
    page.locator("#state").get_by_role("link", name="again", exact=True).wait_for()
    remove(page, "again")


def press(page, name: str) -> None:
    """A plain form's button: the page that answers is there afterwards, and can be loaded again."""
    with page.expect_navigation():
        page.get_by_role("button", name=name).click()


def test_every_action_works_without_javascript(open_page, served) -> None:
    page = open_page(java_script_enabled=False)
    expose(page, "plain", "broker", "7030", "80")
    press(page, "Apply")
    page.get_by_role("heading", name="plain").wait_for()

    def ready() -> bool:
        page.reload()
        return bool(page.locator("h1 + .pill", has_text="Ready").count())

    eventually(ready, what="Ready after reloads")
    page.locator("summary", has_text="Checks on the device").click()
    page.get_by_role("link", name="Run the checks now").click()
    assert "endpoints are ready" in page.content()
    page.goto("/devices/edge1/exposures/plain")
    press(page, "Disable")
    press(page, "Apply")
    eventually(lambda: page.reload() and page.locator("h1 + .pill", has_text="Disabled").count())
    press(page, "Remove")
    press(page, "Apply")
    page.get_by_role("heading", name="edge1").wait_for()
    gone = page.locator("#state").get_by_role("link", name="plain", exact=True)
    eventually(lambda: page.reload() and not gone.count())


def test_the_keyboard_alone_reaches_and_follows(open_page) -> None:
    page = open_page()
    page.goto("/devices/edge1")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    reached: list[str] = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(str(page.evaluate("document.activeElement.textContent.trim()")))
        if reached[-1] == "Expose an app":
            break
    assert reached[-1] == "Expose an app", reached
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Expose an app").wait_for()


def test_markup_in_twins_and_events_runs_nothing(open_page, served) -> None:
    page = open_page()
    evil = '"><img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'
    local = served.local
    local.run("expose", "edge1", "evil", "--selector", "app=none", "--port", "7040", "--yes")
    patch = {
        "exposures": {"evil": {"hostname": evil, "annotations": [evil]}, "evil2": {"module": evil, "ports": [evil]}}
    }

    hub = IotHub(
        Credentials(local.environment["IOTHUB_CONNECTION_STRING"], None, local.environment["EDGE_EXPOSE_HUB_CA"])
    )
    hub.patch_module_twin("edge1", "edge-expose", patch, "*")
    hub.patch_device_tags("edge1", {"evil": evil}, "*")
    try:
        for path in ("", "/exposures/evil", "/exposures/evil2", "/ownership", "/twin", "/history", "/expose"):
            page.goto(f"/devices/edge1{path}")
            page.wait_for_timeout(300)
            assert "owned" not in page.title(), path
            assert page.locator("img").count() == 0, path
    finally:
        hub.patch_module_twin("edge1", "edge-expose", {"exposures": {"evil": None, "evil2": None}}, "*")
        hub.patch_device_tags("edge1", {"evil": None, "site": "north", "line": "packing"}, "*")
