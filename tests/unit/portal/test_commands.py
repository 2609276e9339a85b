"""The portal's commands: accounts come and go, and a broken accounts file is said in one sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_expose_cloud.cli import app
from edge_expose_cloud.portal.audit.log import Audit
from edge_expose_cloud.portal.auth.accounts import Accounts

HUB = "HostName=hub.invalid;SharedAccessKeyName=iothubowner;SharedAccessKey=a2V5"
PASSWORD = "correct horse battery"


def run(*arguments: str, stdin: str | None = None) -> Result:
    environment = {"IOTHUB_CONNECTION_STRING": HUB, "XDG_STATE_HOME": "/nonexistent"}
    return CliRunner().invoke(app, ["portal", *arguments], input=stdin, env=environment)


@pytest.fixture
def users(tmp_path: Path) -> Path:
    return tmp_path / "users.json"


def test_a_user_is_added_and_removed(users) -> None:
    adding = ["adduser", "ada", "--role", "operator", "--password-stdin", "--users", str(users)]
    assert run(*adding, stdin=PASSWORD).exit_code == 0
    assert run(*[item.replace("ada", "vic") for item in adding], stdin=PASSWORD).exit_code == 0
    done = run("deluser", "ada", "--users", str(users))
    assert (done.exit_code, done.stdout) == (0, "")
    assert "ada may no longer sign in" in done.stderr
    assert list(Accounts(users).all()) == ["vic"]
    again = run("deluser", "ada", "--users", str(users))
    assert again.exit_code == 2
    assert "holds no user 'ada' (users: vic)" in " ".join(again.stderr.split())


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        pytest.param(
            lambda path: path.write_text("{"), "is not an accounts file: correct it, or move it aside", id="cut"
        ),
        pytest.param(lambda path: path.write_bytes(b"\xff\xfe"), "is not an accounts file", id="no text"),
        pytest.param(lambda path: path.write_text('{"users": []}'), "is not an accounts file", id="another file"),
        pytest.param(lambda path: path.mkdir(), "cannot be read: Is a directory", id="a folder"),
    ],
)
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["--listen", "127.0.0.1:0"], 1, id="portal"),
        pytest.param(["adduser", "ada", "--role", "viewer", "--password-stdin"], 2, id="adduser"),
        pytest.param(["deluser", "ada"], 2, id="deluser"),
    ],
)
def test_an_accounts_file_that_cannot_be_read_is_said_with_what_to_do(users, broken, says, arguments, code) -> None:
    broken(users)
    done = run(*arguments, "--users", str(users), stdin=PASSWORD)
    assert done.exit_code == code
    assert says in " ".join(done.stderr.split())
    assert "internal" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--listen", "0.0.0.0:0"], "--plain-http", id="beyond loopback without HTTPS"),
        pytest.param(["--listen", "[::]:0"], "--plain-http", id="beyond loopback, IPv6"),
        pytest.param(["--allow-host", "https://portal.example.com"], "is no host name", id="a URL for a host name"),
        pytest.param(["--allow-host", "portal.example.com:443"], "is no host name", id="a host name with a port"),
        pytest.param(["--syslog", "/nowhere/log"], "--syslog /nowhere/log cannot be used", id="no syslog"),
        pytest.param(["--trusted-proxy", "10.0.0.0.1"], "is no network", id="a proxy that is no network"),
        pytest.param(["--trusted-proxy", "*"], "is no network", id="a star"),
        pytest.param(["--trusted-proxy", "10.0.0.5/24"], "is no network", id="host bits"),
        pytest.param(["--trusted-proxy", "0.0.0.0/0"], "trusts everybody", id="everybody"),
        pytest.param(["--trusted-proxy", "::/0"], "trusts everybody", id="everybody, IPv6"),
    ],
)
def test_what_would_open_the_portal_to_others_is_refused_before_it_listens(users, arguments, says) -> None:
    done = run(*arguments, "--users", str(users))
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())
    assert "portal at" not in done.stderr


def test_an_audit_log_is_verified_on_the_command_line(tmp_path) -> None:
    path = tmp_path / "audit.jsonl"
    for number in range(3):
        Audit(path).write("ada", "expose", device="d1", number=str(number))
    done = run("verify-audit", "--audit", str(path))
    assert done.exit_code == 0
    assert "is whole: 3 entries" in " ".join(done.stderr.split())
    noted = done.stdout.strip()
    assert len(noted) == 64
    assert run("verify-audit", "--audit", str(path), "--expect", noted).exit_code == 0
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert run("verify-audit", "--audit", str(path)).exit_code == 0
    done = run("verify-audit", "--audit", str(path), "--expect", noted)
    assert done.exit_code == 1
    assert "no line has the hash" in " ".join(done.stderr.split())
    path.write_text(path.read_text().replace("ada", "eve", 1))
    assert run("verify-audit", "--audit", str(path)).exit_code == 1


def test_api_tokens_are_made_listed_and_revoked(users) -> None:
    for name, role in (("ada", "operator"), ("vic", "viewer")):
        run("adduser", name, "--role", role, "--password-stdin", "--users", str(users), stdin=PASSWORD)
    where = ["--users", str(users)]
    done = run("token", "add", "ci", "--user", "ada", "--scope", "operator", "--days", "30", *where)
    assert done.exit_code == 0
    token = done.stdout.strip()
    assert token.startswith("eex_")
    assert token not in done.stderr
    listed = run("token", "list", *where).stdout
    assert re.fullmatch(r"([0-9a-f]{8})  ada  operator  \d{4}-\d\d-\d\d  ci\n", listed)
    for wrong in (
        ["--user", "nobody"],
        ["--user", "vic", "--scope", "operator"],
        ["--user", "ada", "--days", "366"],
        ["--user", "ada", "--days", "0"],
        ["--user", "ada", "--scope", "root"],
    ):
        assert run("token", "add", "x", *wrong, *where).exit_code == 2
    assert run("token", "revoke", listed[:8], *where).exit_code == 0
    assert run("token", "revoke", listed[:8], *where).exit_code == 2
    assert run("token", "list", *where).stdout == ""


def test_whoever_is_removed_leaves_no_token(users) -> None:
    where = ["--users", str(users)]
    adding = ["adduser", "ada", "--role", "operator", "--password-stdin", *where]
    run(*adding, stdin=PASSWORD)
    run("token", "add", "ci", "--user", "ada", *where)
    assert "1 API tokens ended" in run("deluser", "ada", *where).stderr
    run(*adding, stdin=PASSWORD)
    assert run("token", "list", *where).stdout == ""


def test_options_of_serving_before_another_command_are_refused(users) -> None:
    """The account would go to the default file, and not to the one that is named."""
    done = run("--users", str(users), "adduser", "ada", "--role", "operator", "--password-stdin", stdin=PASSWORD)
    assert done.exit_code == 2
    assert "--users before adduser has no effect" in " ".join(done.stderr.split())
    assert not users.exists()
