"""A local instance, a portal over it, and Debian's Chromium driven by Playwright."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge_expose_cloud.adapters.iothub import Credentials, IotHub
from support.local import ROOT, Local
from support.waiting import eventually

# The same engine without the windows, tabs and menus of the desktop program, where Debian's package of it is there.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium") or ""
PASSWORD = "correct horse battery"
DEPLOYED = {
    "shop": {"module": "webserver", "ports": ["8080:80"], "probe": "/"},
    "db": {"module": "database", "type": "ClusterIP", "ports": [5432]},
    "mqtt": {"module": "broker", "ports": ["1883", "8883"], "share": "bus"},
    "opc": {"module": "broker", "ports": ["4840"], "share": "bus"},
    "cam": {"module": "camera", "ports": ["554:8554", "8000:8000/udp"]},
}
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def missing() -> str:
    """Why no browser test can run here, "" when they can."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed (pip install playwright)"
    if not CHROMIUM:
        return "chromium is not installed (apt-get install chromium-headless-shell)"
    return ""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    if missing():
        pytest.skip(missing())
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Served:
    """A portal that runs over a local instance; `stay` are the exposures that tests find there."""

    local: Local
    url: str
    process: subprocess.Popen[bytes]
    state: Path
    stay: set[str] = field(default_factory=lambda: set(DEPLOYED))


def serve(local: Local, folder: Path, *arguments: str) -> Served:
    """Starts `edge-expose portal` with users ada (operator) and vic (viewer)."""
    environment = {**local.environment, "XDG_STATE_HOME": str(folder), "EDGE_EXPOSE_HUB_UNITS": "20"}
    for name, role in (("ada", "operator"), ("vic", "viewer")):
        subprocess.run(
            [sys.executable, "-m", "edge_expose_cloud", "portal", "adduser", name, "--role", role, "--password-stdin"],
            env=environment,
            input=PASSWORD.encode(),
            check=True,
            capture_output=True,
            timeout=60,
        )
    log = folder / "portal.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "edge_expose_cloud", "portal", "--listen", "127.0.0.1:0", *arguments],
            env=environment,
            cwd=ROOT,
            stdout=stream,
            stderr=stream,
        )
    found = eventually(lambda: re.search(r"portal at (\S+)", log.read_text()), 30, "the portal serves")
    return Served(local, found[1], process, folder)


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Iterator[Local]:
    instance = Local(tmp_path_factory.mktemp("browser"))
    try:
        deploy(instance)
        yield instance
    finally:
        instance.stop()


def deploy(local: Local) -> None:
    """A device as people have them: a front end, a database, a broker that shares an address, a camera."""
    local.deploy(
        {**DEPLOYED, "shop": {**DEPLOYED["shop"], "address": local.address(15)}},
        {
            "webserver": {
                "image": "edge-expose/sample-web:1",
                "env": {"DATABASE": "db"},
                "createOptions": {"ExposedPorts": {"80/tcp": {}}},
            },
            "database": {"image": "edge-expose/sample-db:1", "createOptions": {"ExposedPorts": {"5432/tcp": {}}}},
            "broker": {"image": "edge-expose/echo:1"},
            "camera": {"image": "edge-expose/echo:1"},
        },
        externalServiceIPs=f"{local.address(10)}-{local.address(20)}",
        nodeIPs=f"{local.address(1)}-{local.address(2)}",
        reserved={"edgehub": local.address(10)},
    )
    local.wait_for("shop", "Ready", local.address(15))


@pytest.fixture(scope="session")
def served(local: Local, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = serve(local, tmp_path_factory.mktemp("portal"), "--queries-per-minute", "120")
    try:
        yield running
    finally:
        running.process.terminate()
        running.process.wait(10)


def sign_in(page: Any, user: str = "ada") -> None:
    page.goto("/sign-in")
    page.get_by_label("Name").fill(user)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Fleet").wait_for()


SEEN = pytest.StashKey[list[Any]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A test that fails shows what stood on its pages: an element that does not come says nothing by itself."""
    report = yield
    if report.when == "call" and report.failed:
        open_pages = [page for page in item.stash.get(SEEN, []) if not page.is_closed()]
        for number, page in enumerate(open_pages, 1):
            report.sections.append((f"page {number}", text_of_page(page)))
    return report


def text_of_page(page: Any) -> str:
    """Where a page is, and what it says, the form fields included; never an exception."""
    try:
        fields = page.evaluate(FIELDS)
        return "\n".join([page.url, page.title(), "", page.locator("body").inner_text(timeout=2000), "", *fields])
    except Exception as error:  # a page that is gone or hangs is shown as such
        return f"{page.url}: {error}"


FIELDS = """() => [...document.querySelectorAll('input:not([type=hidden], [type=password]), select')]
    .map((item) => `${item.name} = ${['radio', 'checkbox'].includes(item.type) ? item.checked : item.value}`)"""


@pytest.fixture(autouse=True)
def no_left_overs(served: Served) -> None:
    """What a test that failed left behind is taken away, else it would fail the next one, or its own second try."""
    environment = served.local.environment
    hub = IotHub(Credentials(environment["IOTHUB_CONNECTION_STRING"], None, environment["EDGE_EXPOSE_HUB_CA"]))
    twin = hub.module_twin("edge1", "edge-expose")
    assert twin is not None
    left = twin.desired["exposures"].keys() - served.stay
    if left:
        hub.patch_module_twin("edge1", "edge-expose", {"exposures": dict.fromkeys(left)}, "*")


@pytest.fixture
def open_page(chromium: Any, served: Served, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Gives pages in contexts of their own; a script error or a refused resource fails the test."""
    contexts: list[Any] = []
    problems: list[str] = []

    def make(user: str = "ada", **options: Any) -> Any:
        context = chromium.new_context(
            base_url=served.url,
            # What moves for ever is painted for ever, by the processors that the other tests want.
            **{"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", **options},
        )
        context.set_default_timeout(40000)  # a busy machine is slow, not wrong
        contexts.append(context)
        page = context.new_page()
        request.node.stash.setdefault(SEEN, []).append(page)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: message.type == "error" and problems.append(message.text))
        if user:
            sign_in(page, user)
        return page

    yield make
    for context in contexts:
        context.close()
    # A page or a portal that is gone, or a form that is refused, is an answer, not a mistake of the script.
    expected = re.compile(r"status of (401|404|409|422|403)|net::ERR_(ABORTED|INCOMPLETE|CONNECTION_REFUSED)")
    real = [text for text in problems if not expected.search(text)]
    assert not real, real


def screenshots_folder() -> Path | None:
    """Where `make screenshots` wants the pictures, None in a plain test run."""
    folder = os.environ.get("EDGE_EXPOSE_SCREENSHOTS")
    return Path(folder) if folder else None
