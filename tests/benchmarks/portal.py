"""How fast the portal is with 10,000 devices in the hub: page loads, and how long one update takes to an open page.

    python tests/benchmarks/portal.py [--devices 10000] [--runs 20]

The hub is the local one, in a process of its own on this machine. Page loads are measured once the whole fleet was
read, for which the portal gets more queries a minute than any real hub gives; updates with the portal's own default.
Both at the server's door (one HTTP request) and in a real browser when there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import http.cookiejar
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "module"), str(ROOT / "cloud"), str(ROOT / "tests")]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "module"), str(ROOT / "cloud")])

from edge_expose_cloud.adapters.iothub import Credentials, IotHub  # noqa: E402
from edge_expose_cloud.hub.api import Deployment  # noqa: E402
from support.local import Local  # noqa: E402

PASSWORD = "correct horse battery"
CHUNK = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-expose-bench-") as folder:
        local = Local(Path(folder), block=150)
        try:
            fill(local, given.devices)
            with portal(local, Path(folder), "--queries-per-minute", "3000") as session:
                loads(session, given.devices, given.runs)
            with portal(local, Path(folder)) as session:
                time.sleep(5)
                name = "update: applied until Ready is in an answer, woken by the event of an open page"
                tell(name, updates(local, session, given.runs))
                updates_in_a_browser(session, local, given.runs)
        finally:
            local.stop()


def fill(local: Local, count: int) -> None:
    started = time.monotonic()
    local.deploy({"web": {"module": "webserver", "ports": ["8080:80"], "address": local.address(15)}})
    local.wait_for("web", "Ready")
    ids = [f"site-{number // 100:03d}-{number % 100:02d}" for number in range(count)]
    for start in range(0, count, CHUNK):
        local.instance.hub("POST", "/devices", {"ids": ids[start : start + CHUNK]})
    environment = local.environment
    hub = IotHub(Credentials(environment["IOTHUB_CONNECTION_STRING"], ca_file=environment["EDGE_EXPOSE_HUB_CA"]))
    module = {"settings": {"image": "edge-expose/module:1", "createOptions": "{}"}, "type": "docker"}
    module |= {"status": "running", "restartPolicy": "always", "version": "1.0"}
    content = {
        "$edgeAgent": {"properties.desired.modules.edge-expose": module},
        "edge-expose": {"properties.desired.exposures.web": {"module": "webserver", "ports": ["8080:80"]}},
    }
    labels = {"layered": "true"}
    hub.create_deployment(Deployment("bench", {"modulesContent": content}, "deviceId != 'edge1'", 10, labels))
    local.instance.hub("POST", "/evaluate", {})
    print(f"hub filled with {count} devices in {time.monotonic() - started:.1f} s")


class Session:
    """A signed-in client of the portal."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        )
        self.post("/sign-in", {"name": "ada", "password": PASSWORD})
        self.token = token

    def get(self, path: str) -> str:
        with self.opener.open(self.url + path, timeout=60) as answer:
            return str(answer.read().decode())

    def size(self, path: str) -> int:
        """Bytes on the wire, compressed."""
        with self.opener.open(urllib.request.Request(self.url + path, headers={"Accept-Encoding": "gzip"})) as answer:
            return len(answer.read())

    def post(self, path: str, fields: dict[str, str]) -> None:
        body = urllib.parse.urlencode(fields).encode()
        self.opener.open(urllib.request.Request(self.url + path, body, {"Origin": self.url}), timeout=60).close()

    def put(self, path: str, body: dict[str, Any]) -> None:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers, method="PUT")
        self.opener.open(request, timeout=60).close()


@contextlib.contextmanager
def portal(local: Local, folder: Path, *arguments: str) -> Iterator[Session]:
    units = "200" if arguments else "1"
    environment = {**local.environment, "XDG_STATE_HOME": str(folder / "state"), "EDGE_EXPOSE_HUB_UNITS": units}
    command = [sys.executable, "-m", "edge_expose_cloud", "portal"]
    adduser = [*command, "adduser", "ada", "--role", "operator", "--password-stdin"]
    subprocess.run(adduser, env=environment, input=PASSWORD.encode(), check=True, capture_output=True)
    adding = [*command, "token", "add", "bench", "--user", "ada", "--scope", "operator"]
    token = subprocess.run(adding, env=environment, check=True, capture_output=True, text=True).stdout.strip()
    serve = [*command, "--listen", "127.0.0.1:0", *arguments]
    process = subprocess.Popen(serve, env=environment, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if line.startswith(b"portal at "):
                break
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield Session(line.split()[-1].decode(), token)
    finally:
        process.terminate()
        process.wait(10)


def loads(session: Session, devices: int, runs: int) -> None:
    started = time.monotonic()
    while json.loads(session.get("/api/devices"))["found"] < devices + 1:
        time.sleep(0.2)
    print(f"whole fleet read {time.monotonic() - started:.1f} s after the start")
    print(f"fleet page {session.size('/devices')} bytes compressed, device page {session.size('/devices/edge1')}")
    middle = devices // 200
    for what, path in (
        ("fleet, first page", "/devices"),
        ("fleet, last page", f"/devices?page={devices // 50}"),
        ("fleet, search", f"/devices?q=site-{middle:03d}"),
        ("fleet, needs attention", "/devices?show=trouble"),
        ("device", "/devices/edge1"),
        ("expose form", "/devices/edge1/expose"),
    ):
        tell(f"{what}: answer", [timed(lambda path=path: session.get(path)) for _ in range(runs)])  # type: ignore[misc]
    with a_browser(session) as page:
        for what, path in (("fleet", "/devices"), ("device", "/devices/edge1")) if page is not None else ():
            url = session.url + path
            tell(f"{what}: loaded in Chromium", [timed(lambda url=url: page.goto(url)) for _ in range(runs)])  # type: ignore[misc]


def updates(local: Local, session: Session, runs: int) -> list[float]:
    """A PUT is applied, the module reports Ready, and the event of the open page says that something changed."""
    seen = threading.Event()

    def listen() -> None:
        with session.opener.open(f"{session.url}/events?device=edge1", timeout=300) as stream:
            for line in stream:
                if line.startswith(b"event: changed"):
                    seen.set()

    threading.Thread(target=listen, daemon=True).start()
    found = []
    for number in range(runs):
        time.sleep(0.6)
        seen.clear()
        body = {"exposure": {"module": "webserver", "ports": [f"{9000 + number}:80"], "address": local.address(16)}}
        started = time.monotonic()
        session.put("/api/devices/edge1/exposures/moving", body)
        state = ""
        while state != f"Ready {9000 + number}":
            seen.wait(30)
            seen.clear()
            view = json.loads(session.get("/api/devices/edge1/exposures/moving"))
            ports = (view["reported"] or {}).get("ports") or [""]
            behind = json.loads(session.get("/api/devices/edge1"))["status"]
            fresh = behind["lastDesiredVersion"] == behind["desiredVersion"]
            state = f"{(view['reported'] or {}).get('state')} {ports[0].partition(':')[0]}" if fresh else ""
        found.append(time.monotonic() - started)
    return found


@contextlib.contextmanager
def a_browser(session: Session) -> Iterator[Any]:
    """A signed-in page of Debian's Chromium, None when it or Playwright is missing."""
    chromium = Path("/usr/bin/chromium")
    if importlib.util.find_spec("playwright") is None or not chromium.exists():
        print("playwright or chromium is not installed: nothing was measured in a browser")
        yield None
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(f"{session.url}/sign-in")
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Fleet").wait_for()
        yield page
        browser.close()


def updates_in_a_browser(session: Session, local: Local, runs: int) -> None:
    with a_browser(session) as page:
        if page is None:
            return
        page.goto(f"{session.url}/devices/edge1")
        found = []
        for number in range(runs):
            # A health check by HTTP, so that the port is shown as a link.
            wanted = {
                "module": "webserver",
                "ports": [f"{9100 + number}:80"],
                "address": local.address(17),
                "probe": "/",
            }
            body = {"exposure": wanted}
            started = time.monotonic()
            session.put("/api/devices/edge1/exposures/shown", body)
            page.get_by_role("link", name=f"{local.address(17)}:{9100 + number}").wait_for()
            found.append(time.monotonic() - started)
        tell("update: applied until the open page shows it in Chromium", found)


def timed(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


def tell(what: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    p95 = ordered[max(0, round(0.95 * len(ordered)) - 1)]
    print(f"{what}: median {statistics.median(ordered) * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms of {len(ordered)}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
