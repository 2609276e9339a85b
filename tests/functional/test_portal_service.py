"""The portal as the shipped unit of systemd starts it, behind the shipped nginx, with HTTPS: signed in through both."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from support.certificates import certify
from support.cluster import ROOT, clean_environment
from support.lots import own
from support.portal import HUB
from support.testbed_binaries import nginx
from support.waiting import PATIENCE, eventually

FOLDER: Final = ROOT / "deployment-manifests" / "portal"
UNIT: Final = FOLDER / "edge-expose-portal.service"
HOST: Final = "portal.example.com"
PASSWORD: Final = "correct horse battery"
CLIENT: Final = "127.0.0.2"


def settings() -> dict[str, str]:
    """The unit's settings; those that go on over several lines are joined."""
    text = UNIT.read_text().replace("\\\n", " ")
    return dict(re.findall(r"(?m)^([A-Za-z]+)=(.*)$", text))


@contextlib.contextmanager
def started(command: list[str], folder: Path, name: str, environment: dict[str, str]) -> Iterator[Path]:
    """A process, and the file it writes to."""
    log = folder / f"{name}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    try:
        yield log
    finally:
        process.terminate()
        process.wait(30)


def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    """Of the command only that it is not installed here may be wrong."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("not on a machine without systemd-analyze")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/edge-expose/bin/edge-expose", "/bin/true"))
    done = subprocess.run([analyze, "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False)
    told = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert told == []


def test_people_sign_in_through_the_proxy(tmp_path: Path) -> None:
    if not nginx().exists():
        pytest.skip("nginx is not unpacked: make testbed")
    plain, health, secure = own().ports(3)
    (tmp_path / "hub").write_text(HUB)
    environment = clean_environment() | {
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "CREDENTIALS_DIRECTORY": str(tmp_path),
    }
    command = shlex.split(settings()["ExecStart"].replace("${CREDENTIALS_DIRECTORY}", str(tmp_path)))
    assert command[:2] == ["/opt/edge-expose/bin/edge-expose", "portal"]
    ports = {"127.0.0.1:8480": f"127.0.0.1:{plain}", "127.0.0.1:9601": f"127.0.0.1:{health}"}
    arguments = [ports.get(word, word) for word in command[1:]]
    tool = [sys.executable, "-m", "edge_expose_cloud"]
    adding = [*tool, "portal", "adduser", "ada", "--role", "operator", "--password-stdin"]
    subprocess.run(adding, env=environment, input=PASSWORD.encode(), check=True, capture_output=True, timeout=60)
    configuration = proxy(tmp_path, plain, secure)
    proxying = [str(nginx()), "-p", str(tmp_path), "-c", str(configuration), "-g", "daemon off;"]
    with (
        started([*tool, *arguments], tmp_path, "portal", environment) as log,
        started(proxying, tmp_path, "nginx", environment),
        httpx.Client(
            base_url=f"https://127.0.0.1:{secure}",
            transport=httpx.HTTPTransport(verify=False, local_address=CLIENT),
            headers={"Host": HOST, "Origin": f"https://{HOST}", "X-Forwarded-For": "203.0.113.9"},
            timeout=PATIENCE,
        ) as client,
    ):

        def answers() -> bool:
            try:
                return client.get("/sign-in").is_success
            except httpx.TransportError:  # one of the two does not listen yet
                return False

        eventually(answers, what="the sign-in page")
        wrong = client.post("/sign-in", data={"name": "ada", "password": "no"})
        assert wrong.status_code == 403
        answer = client.post("/sign-in", data={"name": "ada", "password": PASSWORD})
        assert answer.status_code == 303, log.read_text()
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-edge-expose=")
        assert "Secure" in cookie
        session = {"Cookie": cookie.partition(";")[0]}
        assert client.get("/devices", headers=session).status_code == 200
        with client.stream("GET", "/events", headers=session, params={"topic": "fleet"}) as events:
            assert next(events.iter_lines()).startswith("retry:")  # not held back by the proxy
        assert client.post("/sign-in", content=b"x" * 200_000).status_code == 413
        assert client.get("/sign-in", headers={"Host": "evil.example.com"}).status_code == 421
        assert httpx.get(f"http://127.0.0.1:{health}/healthz", trust_env=False, timeout=PATIENCE).text == "ok\n"
    audit = [json.loads(line) for line in next((tmp_path / "state").rglob("*audit.jsonl")).read_text().splitlines()]
    assert {entry["client"] for entry in audit} == {CLIENT}, "the proxy's word counts, and the client's own does not"


def proxy(folder: Path, plain: int, secure: int) -> Path:
    """The shipped server, with these ports and a certificate of ours, in an nginx of this folder."""
    chain, key = certify(HOST).write(folder)
    server = (FOLDER / "nginx.conf").read_text()
    for old, new in {
        "listen 443 ssl": f"listen 127.0.0.1:{secure} ssl",
        "127.0.0.1:8480": f"127.0.0.1:{plain}",
        f"/etc/ssl/{HOST}.pem": chain,
        f"/etc/ssl/private/{HOST}.key": key,
    }.items():
        assert old in server
        server = server.replace(old, new)
    kinds = " ".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    file = folder / "nginx.conf"
    file.write_text(
        f"pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {kinds}\n{server}\n}}\n"
    )
    return file
