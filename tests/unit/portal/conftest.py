"""A portal over the hub in memory, and browsers of people who are signed in."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from starlette.testclient import TestClient

from edge_expose_cloud.portal.app import make_app, make_portal
from edge_expose_cloud.portal.http.guards import Hosts
from edge_expose_cloud.portal.shell import Portal, Settings
from edge_expose_contract.identity import MODULE_ID
from support.cloud import READY, applied_hub
from support.fake_hub import FakeHub

PASSWORD = "correct horse battery"
BASE = "http://127.0.0.1:8480"


class Form(HTMLParser):
    """The page's form of class `form`, or of another one: where it goes, and its fields with their values."""

    def __init__(self, named: str = "form") -> None:
        super().__init__()
        self._named = named
        self.action = ""
        self.fields: dict[str, str] = {}
        self._inside = False
        self._select = ""
        self._option = False

    @classmethod
    def of(cls, text: str, named: str = "form") -> Form:
        made = cls(named)
        made.feed(text)
        assert made.action, text[:2000]
        return made

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "form" and self._named in given.get("class", "").split():
            self.action, self._inside = given["action"], True
        elif self._inside and tag == "select":
            self._select = given["name"]
        elif tag == "option" and self._select and ("selected" in given or self._select not in self.fields):
            self.fields[self._select] = given.get("value", "")
            self._option = "value" not in given
        elif self._inside and tag == "input" and "name" in given:
            chosen = given.get("type") not in ("radio", "checkbox") or "checked" in given
            self.fields |= {given["name"]: given.get("value", "")} if chosen else {}

    def handle_data(self, data: str) -> None:
        if self._select and self._option:
            self.fields[self._select], self._option = data, False

    def handle_endtag(self, tag: str) -> None:
        self._select = "" if tag == "select" else self._select
        self._inside = self._inside and tag != "form"


@dataclass
class Browser:
    """Follows no redirect by itself, so that tests see them."""

    client: TestClient

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, follow_redirects=False, **options)

    def post(self, path: str, fields: dict[str, str] | None = None, **options: Any) -> Any:
        """What comes of it; plans, drafts and tests are shown at a URL of their own, to which it goes on."""
        headers = {"Origin": BASE, **options.pop("headers", {})}
        answer = self.client.post(path, data=fields or {}, headers=headers, follow_redirects=False, **options)
        place = answer.headers.get("location", "")
        if answer.status_code == 303 and any(part in place for part in ("/plans/", "/drafts/", "tested=")):
            return self.get(answer.headers["location"])
        return answer

    @property
    def csrf(self) -> str:
        found = re.search(r'name="csrf" content="([^"]+)"', self.get("/devices").text)
        assert found, "no page is signed in"
        return found[1]

    def change(self, path: str, **fields: str) -> Any:
        return self.post(path, {"csrf": self.csrf, **fields})

    def fill(self, page: Any, named: str = "form", **typed: str) -> Any:
        """Types into the form of a page and sends it, with every field as the page shows it."""
        form = Form.of(page.text, named)
        return self.post(form.action, {**form.fields, **typed})

    def ranges(self, device: str = "d1", **typed: str) -> Any:
        """Sends the Compute network form with these fields only: the others are emptied."""
        path = f"/devices/{device}/network"
        return self.change(path, base=Form.of(self.get(path).text).fields["base"], **typed)

    def apply(self, answer: Any, **more: str) -> Any:
        """Presses Apply on a plan page."""
        assert answer.status_code == 200, (answer.status_code, answer.text[:2000])
        action = re.search(r'action="(/devices/[^"]+/apply)"', answer.text)
        hidden = dict(re.findall(r'<input type="hidden" name="(change|digest)" value="([^"]*)"', answer.text))
        assert action, answer.text
        assert hidden, answer.text
        unescaped = {key: html.unescape(value) for key, value in hidden.items()}
        return self.change(action[1], **unescaped, **more)


@dataclass
class World:
    hub: FakeHub
    portal: Portal
    folder: Path
    browser: Callable[..., Browser]

    def desired(self, device: str = "d1") -> dict[str, Any]:
        return dict(self.hub.twins[device, MODULE_ID].desired)

    def bearer(self, user: str = "ada", scope: str = "operator") -> dict[str, str]:
        """The header of a program with a new API token."""
        return {"Authorization": f"Bearer {self.portal.tokens.add(user, 'a test', scope, 1)[1]}"}

    def restarted(self) -> World:
        """The same hub and files, and a portal that knows nothing of the one before."""
        return world_of(self.hub, self.folder)

    def audit(self) -> str:
        path = self.portal.settings.audit
        return path.read_text(encoding="utf-8") if path.exists() else ""


@pytest.fixture(scope="session")
def accounts_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    from edge_expose_cloud.portal.auth.accounts import Accounts

    path = tmp_path_factory.mktemp("accounts") / "users.json"
    # A hash says what it costs to check: these cost little, as hundreds of tests sign in.
    accounts = Accounts(path, PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    accounts.add("ada", "operator", PASSWORD)
    accounts.add("vic", "viewer", PASSWORD)
    return path.read_text(encoding="utf-8")


@pytest.fixture
def world(tmp_path: Path, accounts_file: str) -> World:
    """Device d1 with web-out (Ready at 10.0.0.11) and db; users ada (operator) and vic (viewer)."""
    hub = applied_hub()
    hub.report("d1", MODULE_ID, READY)
    (tmp_path / "users.json").write_text(accounts_file, encoding="utf-8")
    return world_of(hub, tmp_path)


def world_of(hub: FakeHub, folder: Path, clock: Callable[[], float] = time.monotonic) -> World:
    """`clock` tells how old what was read of the hub is."""
    settings = Settings(folder / "backups", folder / "audit.jsonl", folder / "users.json", queries_per_minute=600)
    portal = make_portal(hub, settings, clock)
    app = make_app(portal, Hosts(frozenset({"127.0.0.1", "localhost"})))

    def browser(name: str = "", role: str = "operator") -> Browser:
        client = TestClient(app, base_url=BASE)
        if name:
            client.cookies.set(portal.cookie, portal.sessions.start(name, "viewer" if role == "viewer" else "operator"))
        return Browser(client)

    return World(hub, portal, folder, browser)


def signed_in(world: World, name: str = "ada") -> Browser:
    """A browser that came in through the sign-in page."""
    browser = world.browser()
    assert browser.post("/sign-in", {"name": name, "password": PASSWORD}).status_code == 303
    return browser


@pytest.fixture
def ada(world: World) -> Browser:
    return world.browser("ada")


@pytest.fixture
def vic(world: World) -> Browser:
    return world.browser("vic", "viewer")
