"""A portal over the hub in memory, and browsers of people who are signed in."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from edge_expose_cloud.portal.app import make_app, make_portal
from edge_expose_cloud.portal.guards import Hosts
from edge_expose_cloud.portal.shell import Portal, Settings
from edge_expose_contract.identity import MODULE_ID
from support.cloud import READY, applied_hub
from support.fake_hub import FakeHub

PASSWORD = "correct horse battery"
BASE = "http://127.0.0.1:8480"


@dataclass
class Browser:
    """Follows no redirect by itself, so that tests see them."""

    client: TestClient

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, follow_redirects=False, **options)

    def post(self, path: str, fields: dict[str, str] | None = None, **options: Any) -> Any:
        headers = {"Origin": BASE, **options.pop("headers", {})}
        return self.client.post(path, data=fields or {}, headers=headers, follow_redirects=False, **options)

    @property
    def csrf(self) -> str:
        found = re.search(r'name="csrf" content="([^"]+)"', self.get("/devices").text)
        assert found, "no page is signed in"
        return found[1]

    def change(self, path: str, **fields: str) -> Any:
        return self.post(path, {"csrf": self.csrf, **fields})

    def apply(self, answer: Any, **more: str) -> Any:
        """Presses Apply on a plan page."""
        assert answer.status_code == 200, (answer.status_code, answer.text[:2000])
        action = re.search(r'action="(/devices/[^"]+/apply)"', answer.text)
        hidden = dict(re.findall(r'<input type="hidden" name="(wish|digest)" value="([^"]*)"', answer.text))
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

    def audit(self) -> str:
        path = self.portal.settings.audit
        return path.read_text(encoding="utf-8") if path.exists() else ""


@pytest.fixture(scope="session")
def accounts_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    from edge_expose_cloud.portal.accounts import Accounts

    path = tmp_path_factory.mktemp("accounts") / "users.json"
    accounts = Accounts(path)
    accounts.add("ada", "operator", PASSWORD)
    accounts.add("vic", "viewer", PASSWORD)
    return path.read_text(encoding="utf-8")


@pytest.fixture
def world(tmp_path: Path, accounts_file: str) -> World:
    """Device d1 with web-out (Ready at 10.0.0.11) and db; users ada (operator) and vic (viewer)."""
    hub = applied_hub()
    hub.report("d1", MODULE_ID, READY)
    (tmp_path / "users.json").write_text(accounts_file, encoding="utf-8")
    settings = Settings(tmp_path / "backups", tmp_path / "audit.jsonl", tmp_path / "users.json", queries_per_minute=600)
    portal = make_portal(hub, settings)
    app = make_app(portal, Hosts(frozenset({"127.0.0.1", "localhost"})))

    def browser(name: str = "", role: str = "operator") -> Browser:
        client = TestClient(app, base_url=BASE)
        if name:
            client.cookies.set(portal.cookie, portal.sessions.start(name, "viewer" if role == "viewer" else "operator"))
        return Browser(client)

    return World(hub, portal, tmp_path, browser)


@pytest.fixture
def ada(world: World) -> Browser:
    return world.browser("ada")


@pytest.fixture
def vic(world: World) -> Browser:
    return world.browser("vic", "viewer")
