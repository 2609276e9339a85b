"""API tokens: what they allow, what ends them, and that a browser's session changes nothing through the API."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from edge_expose_cloud.portal.auth.accounts import AccountError, Accounts
from edge_expose_cloud.portal.auth.tokens import MOST_OF_USER, Tokens

PATH = "/api/devices/d1/exposures/api-made"
WANTED = {"exposure": {"module": "web", "ports": ["9000:80"]}}
PASSWORD = "correct horse battery"
WRITES = [
    ("PUT", PATH, WANTED),
    ("DELETE", PATH, None),
    ("POST", "/api/validate", {"device": "d1", "name": "x", **WANTED}),
]
READS = ["/api/session", "/api/devices", "/api/devices/d1", "/api/devices/d1/exposures/web-out", "/api/openapi.json"]


@pytest.fixture
def tokens(tmp_path) -> Tokens:
    return Tokens(tmp_path / "users.tokens.json")


def test_a_token_changes_what_its_scope_allows_and_the_audit_says_by_which(world) -> None:
    program = world.browser().client
    assert program.put(PATH, json=WANTED, headers=world.bearer()).status_code == 200
    assert world.desired()["exposures"]["api-made"] == WANTED["exposure"]
    assert '"user": "ada"' in world.audit()
    assert '"via": "token a test"' in world.audit()


@pytest.mark.parametrize(("user", "scope"), [("ada", "viewer"), ("vic", "viewer"), ("vic", "operator")])
@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_token_that_may_look_changes_nothing(world, user, scope, method, path, body) -> None:
    program, before = world.browser().client, world.desired()
    headers = world.bearer(user, scope)
    answer = program.request(method, path, json=body, headers=headers)
    assert answer.status_code == 403
    assert "is read-only" in answer.json()["error"]
    assert world.desired() == before
    assert [program.get(path, headers=headers).status_code for path in READS] == [200] * len(READS)


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_session_of_a_browser_changes_nothing_through_the_api(world, ada, method, path, body) -> None:
    headers = {"Origin": "http://127.0.0.1:8480", "X-CSRF-Token": ada.csrf}
    answer = ada.client.request(method, path, json=body, headers=headers)
    assert answer.status_code == 403
    assert "API token" in answer.json()["error"]
    assert "api-made" not in world.desired()["exposures"]
    assert [ada.get(path).status_code for path in READS] == [200] * len(READS), "it may read, as its pages do"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer eex_" + "A" * 43,
        "Bearer ",
        "Bearer",
        "Basic YWRhOmNvcnJlY3QgaG9yc2U=",
        "eex_" + "A" * 43,
        "Bearer \udcff".encode("utf-8", "surrogateescape"),
    ],
)
def test_a_wrong_token_is_nobody_even_beside_a_session(ada, header) -> None:
    for method, path, body in [*WRITES, ("GET", "/api/devices", None)]:
        answer = ada.client.request(method, path, json=body, headers={"Authorization": header})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_opens_no_page(world) -> None:
    program, headers = world.browser(), world.bearer()
    assert program.get("/devices", headers=headers).status_code == 303
    assert program.get("/events", headers=headers).status_code == 401
    assert program.post("/devices/d1/plan", {"csrf": ""}, headers=headers).status_code == 401


def test_a_token_ends_with_its_account_and_does_no_more_than_it(world) -> None:
    program, headers = world.browser().client, world.bearer()
    path = world.portal.settings.users
    text = path.read_text()
    path.write_text(text.replace('"operator"', '"viewer"'))
    assert program.put(PATH, json=WANTED, headers=headers).status_code == 403
    Accounts(path).remove("ada")
    assert program.get("/api/devices", headers=headers).status_code == 401
    path.write_text("{")
    assert program.get("/api/devices", headers=headers).status_code == 401


def test_a_token_ends_by_itself_and_when_it_is_revoked(tokens) -> None:
    made, token = tokens.add("ada", "ci", "operator", 2, now=1000.0)
    again = Tokens(tokens._path)
    assert again.find(token, 1000.0) == made
    assert again.find(token, 1000.0 + 2 * 86400 - 1) == made
    assert again.find(token, 1000.0 + 2 * 86400) is None
    with pytest.raises(AccountError):
        tokens.revoke(made.id, "vic")
    assert again.find(token, 1000.0) == made, "only its owner revokes it"
    tokens.revoke(made.id, "ada")
    assert again.find(token, 1000.0) is None


def test_the_file_holds_hashes_only_and_is_private(tokens) -> None:
    _, token = tokens.add("ada", "ci", "viewer", 1)
    text = tokens._path.read_text()
    assert token not in text
    assert token.removeprefix("eex_") not in text
    assert stat.S_IMODE(os.stat(tokens._path).st_mode) == 0o600
    held = next(iter(json.loads(text)["tokens"].values()))["hash"]
    assert tokens.find(held, 0.0) is None, "a thief of the file has no token"


@pytest.mark.parametrize(
    ("name", "scope", "days"),
    [("", "viewer", 1), (" ", "viewer", 1), ("x" * 65, "viewer", 1), ("a\x00", "viewer", 1), ("ci", "root", 1)]
    + [("ci", "viewer", days) for days in (0, -1, 366)],
)
def test_a_token_that_makes_no_sense_is_not_made(tokens, name, scope, days) -> None:
    with pytest.raises(AccountError):
        tokens.add("ada", name, scope, days)
    assert tokens.all() == {}


def test_one_user_has_so_many_tokens_and_expired_ones_go_after_a_month(tokens) -> None:
    for number in range(MOST_OF_USER):
        tokens.add("ada", f"t{number}", "viewer", 1, now=0.0)
    with pytest.raises(AccountError, match="revoke one first"):
        tokens.add("ada", "one more", "viewer", 1, now=0.0)
    tokens.add("vic", "theirs", "viewer", 1, now=0.0)
    tokens.add("ada", "later", "viewer", 1, now=32 * 86400.0)
    assert [item.name for item in tokens.of_user("ada")] == ["later"]
    assert tokens.of_user("vic") == []


def test_two_writers_at_once_lose_nothing(tmp_path) -> None:
    path = tmp_path / "users.tokens.json"
    threads = [
        threading.Thread(target=lambda: [Tokens(path).add("ada", "x", "viewer", 1) for _ in range(10)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(Tokens(path).all()) == 40


@pytest.mark.parametrize("broken", ["{", "[]", '{"tokens": []}', '{"tokens": {"a": {}}}', "\x00"])
def test_a_tokens_file_that_breaks_lets_no_program_in(world, broken) -> None:
    headers = world.bearer()
    world.portal.tokens._path.write_text(broken)
    assert world.browser().client.get("/api/devices", headers=headers).status_code == 401


def test_the_document_says_that_the_api_wants_a_token(ada) -> None:
    document = ada.get("/api/openapi.json").json()
    committed = Path(__file__).parents[3] / "docs" / "reference" / "portal-api.json"
    assert json.loads(committed.read_text(encoding="utf-8")) == document
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["security"] == [{"token": []}], path
