"""How it looks: axe finds nothing serious, nothing overflows a phone, and the documentation's pictures are taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_expose_cloud.adapters.iothub import Credentials, IotHub

from .conftest import screenshots_folder

pytestmark = [pytest.mark.browser, pytest.mark.local]

PAGES = {
    "sign-in": "/sign-in",
    "fleet": "/devices",
    "device": "/devices/edge1",
    "expose": "/devices/edge1/expose?preset=web&module=webserver",
    "exposure": "/devices/edge1/exposures/shop",
    "blocked": "/devices/edge1/exposures/closed",
    "network": "/devices/edge1/network",
    "ownership": "/devices/edge1/ownership",
    "history": "/devices/edge1/history",
    "twin": "/devices/edge1/twin",
    "account": "/account",
    "plan": "",
}
LOOKS = [("light", 1280, 860), ("dark", 1280, 860), ("light", 390, 844), ("dark", 390, 844)]
TALLEST = 1900


def go(page: Any, name: str) -> None:
    if name == "plan":
        page.goto("/devices/edge1/exposures/shop")
        page.get_by_role("button", name="Remove").click()
        page.get_by_role("heading", name="Remove shop").wait_for()
        return
    page.goto(PAGES[name])
    if name == "expose":
        page.get_by_label("Name", exact=True).fill("kiosk")
        page.locator("#check .note.good").wait_for()
    if name == "fleet":
        page.get_by_role("link", name="edge3").wait_for()  # the next sweep of the fleet finds it
    if name in ("exposure", "blocked"):
        page.locator("[data-load] ol").wait_for(state="attached")


def shrink(picture: Path) -> None:
    """A palette is enough for flat colours and keeps the repository small."""
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed: pictures would be large")
    with image.open(picture) as opened:
        small = opened.convert("RGB").quantize(96, dither=image.Dither.NONE)
    small.save(picture, optimize=True)


@pytest.fixture(scope="module")
def blocked(served: Any) -> Any:
    """An exposure that lost its address, and other devices, so that the pages show what people come for."""
    local = served.local
    wish = ["--module", "broker", "--port", "4840", "--port", "8080:80", "--address", local.address(13)]
    backups = served.state / "edge-expose" / "backups"
    local.run("expose", "edge1", "closed", *wish, "--allow-from", "10.0.0.0/8", "--yes", "--backup", str(backups))
    served.stay.add("closed")
    local.wait_for("closed", "Ready")
    narrow = f"{local.address(10)}-{local.address(12)},{local.address(14)}-{local.address(20)}"
    local.instance.set_pool(narrow)
    local.wait_for("closed", "Blocked")
    local.instance.add_devices(["edge2", "edge3"])
    yield
    served.stay.remove("closed")
    local.instance.set_pool(f"{local.address(10)}-{local.address(20)}")
    local.run("unexpose", "edge1", "closed", "--yes")


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
def test_every_page_is_accessible_and_fits(
    open_page: Any, blocked: Any, tmp_path: Path, look: tuple[str, int, int]
) -> None:
    scheme, width, height = look
    library = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: not scanned")
    axe = library.Axe()
    folder = screenshots_folder() or tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    # The scanner is an inline script, which the portal's own policy forbids.
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": height}, "bypass_csp": True}
    stranger, operator = open_page("", **options), open_page("ada", **options)
    serious: dict[str, list[str]] = {}
    for name in PAGES:
        page = stranger if name == "sign-in" else operator
        go(page, name)
        bad = [
            f"{item['id']}: {item['nodes'][0]['html'][:160]}"
            for item in axe.run(page).response["violations"]
            if item["impact"] in ("serious", "critical")
        ]
        if bad:
            serious[name] = bad
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name} is {wide} px too wide"
        tall = int(page.evaluate("document.documentElement.scrollHeight"))
        clip = {"x": 0, "y": 0, "width": width, "height": min(max(tall, height), TALLEST)}
        picture = folder / f"{name}-{scheme}-{'desktop' if width > 600 else 'phone'}.png"
        page.screenshot(path=picture, full_page=True, clip=clip)
        if screenshots_folder() is not None:
            shrink(picture)
    assert not serious, serious


def test_all_tabs_of_a_phone_are_in_sight(open_page: Any) -> None:
    page = open_page(viewport={"width": 390, "height": 844})
    page.goto("/devices/edge1")
    boxes = page.evaluate("[...document.querySelectorAll('.tabs a')].map(tab => tab.getBoundingClientRect().toJSON())")
    assert len(boxes) == 5
    for box in boxes:
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


# Read at once: the rows are fetched again all the time.
AGE_AND_NOTE = """() => {
    const rows = [...document.querySelectorAll('tr')];
    const row = rows.find(row => row.querySelector('a')?.textContent.trim() === 'edge1');
    const note = [...row.querySelectorAll('.tag')].find(tag => tag.textContent.includes('note='));
    return [row.querySelector('.age').getBoundingClientRect().height, note.getBoundingClientRect().width];
}"""


def test_a_long_tag_leaves_the_other_columns_of_the_fleet_their_room(open_page: Any, served: Any) -> None:
    environment = served.local.environment
    hub = IotHub(Credentials(environment["IOTHUB_CONNECTION_STRING"], None, environment["EDGE_EXPOSE_HUB_CA"]))
    hub.patch_device_tags("edge1", {"note": "x" * 180}, "*")
    try:
        page = open_page()
        row = page.locator("tr", has=page.get_by_role("link", name="edge1", exact=True))
        row.locator(".tag", has_text="note=").wait_for(timeout=60000)
        age, tag = page.evaluate(AGE_AND_NOTE)
        assert age < 26, "one line"
        assert tag <= 242
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    finally:
        hub.patch_device_tags("edge1", {"note": None}, "*")


LONG_REASON = """() => {
    const long = 'R'.repeat(400);
    const cell = document.querySelector('[data-exposure] td[data-label="State"]');
    cell.insertAdjacentHTML('beforeend', `<small class="reason">${long}</small>`);
    document.querySelector('#h-pieces').insertAdjacentHTML('afterend', `<p class="faint">${long}</p>`);
    const page = document.documentElement;
    return [page.scrollWidth - page.clientWidth, cell.getBoundingClientRect().width];
}"""


@pytest.mark.parametrize(("width", "most"), [(390, 390), (1280, 700)], ids=["phone", "desktop"])
def test_a_reason_without_blanks_wraps(open_page: Any, width: int, most: int) -> None:
    """Written into the page at once, since it is fetched again all the time."""
    page = open_page(viewport={"width": width, "height": 860})
    page.goto("/devices/edge1")
    too_wide, cell = page.evaluate(LONG_REASON)
    assert too_wide <= 0, f"{too_wide} px too wide"
    assert cell < most
