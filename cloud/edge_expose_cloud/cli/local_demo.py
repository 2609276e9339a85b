"""`make demo`: from a spec file to an address that answers, with the very commands a person would type."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from edge_expose_cloud.cli.shared.output import say
from edge_expose_local.instance import Instance
from edge_expose_local.settings import LocalSettings

SPEC: Final = Path("deployment-manifests") / "specs" / "two-tier.yaml"
URL: Final = "http://127.77.0.15:8080"
APPLY_SECONDS: Final = 90
PORTAL_PORT: Final = 8480
PORTAL_SECONDS: Final = 20
_INTERRUPTED: Final = 130  # as a shell says of a command that Ctrl-C ended


def run_demo(state: Path | None, once: bool) -> int:
    """0 when everything held, else 1. Without `once` it stays up until Ctrl-C, which ends it at any time."""
    if not SPEC.is_file():
        say(f"✗ {SPEC} is not here: run this from the checkout")
        return 1
    own = state is None
    folder = Path(tempfile.mkdtemp(prefix="edge-expose-demo-")) if state is None else state.absolute()
    instance = Instance(folder)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    started = time.monotonic()
    try:
        say("starting IoT Hub, edge runtime and cluster on this machine ...")
        instance.prepare(LocalSettings())
        instance.up_detached()
        say(f"up after {time.monotonic() - started:.1f} s")
        code = _apply(instance)
        if code == 0:
            with _portal(instance) as links:
                code = _show(instance, started, links)
                if code == 0 and not once:
                    _stay()
        return code
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # what is taken down is taken down whole
        say("taking everything down ...")
        instance.down(wipe=own)
        if own:
            shutil.rmtree(folder, ignore_errors=True)


def _environment(instance: Instance) -> dict[str, str]:
    environment = {**os.environ, **instance.environment()}
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        environment.pop(variable, None)
    return environment


def _apply(instance: Instance) -> int:
    environment = _environment(instance)
    backups = str(instance.state / "backups")
    steps: list[tuple[list[str], tuple[int, ...]]] = [
        (["validate", str(SPEC)], (0,)),
        (["plan", str(SPEC)], (0, 3)),
        (["apply", str(SPEC), "--yes", "--wait", "--timeout", str(APPLY_SECONDS), "--backup", backups], (0,)),
        (["status", "edge1"], (0,)),
    ]
    for arguments, good in steps:
        say(f"\n$ edge-expose {' '.join(arguments)}")
        code = subprocess.run([sys.executable, "-P", "-m", "edge_expose_cloud", *arguments], env=environment).returncode
        if code not in good:
            say(f"✗ it ended with {code}")
            return 1
    return 0


@contextmanager
def _portal(instance: Instance) -> Iterator[tuple[str, str]]:
    """(address of the portal, one-time link), empty texts when it is not installed; it ends with the demo."""
    if importlib.util.find_spec("fastapi") is None or importlib.util.find_spec("argon2") is None:
        say("the portal is not installed: pip install '.[portal]' in this checkout")
        yield "", ""
        return
    folder = instance.state
    arguments = ["portal", "--listen", f"127.0.0.1:{PORTAL_PORT}", "--one-time-link", "--queries-per-minute", "60"]
    if not _is_free(PORTAL_PORT):
        arguments[2] = "127.0.0.1:0"
    arguments += ["--users", str(folder / "portal-users.json"), "--backup", str(folder / "backups")]
    arguments += ["--audit", str(folder / "portal-audit.jsonl")]
    # The local hub has no quota, so that a pace of several units is right here.
    environment = {**_environment(instance), "EDGE_EXPOSE_HUB_UNITS": "4"}
    with (folder / "portal.log").open("w+") as log:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "edge_expose_cloud", *arguments], env=environment, stderr=log, stdout=log
        )
        try:
            yield _links(folder / "portal.log", child)
        finally:
            child.terminate()
            child.wait(10)


def _links(log: Path, child: subprocess.Popen[bytes]) -> tuple[str, str]:
    deadline = time.monotonic() + PORTAL_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        found = re.search(r"portal at (\S+)\nsign in once at (\S+)\n", log.read_text(encoding="utf-8"))
        if found:
            return found[1], found[2]
        time.sleep(0.05)
    say(f"! the portal did not start: {log.read_text(encoding='utf-8').strip()[-300:]}")
    return "", ""


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _stay() -> None:
    """Until Ctrl-C, which is how it is meant to end."""
    say(f"Open {URL} in a browser. Ctrl-C takes everything down.")
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def _show(instance: Instance, started: float, links: tuple[str, str]) -> int:
    if unbound := instance.status()["unbound"]:
        first = unbound[0]
        say(f"✗ another program is at {first['ip']}:{first['port']} ({first['error']}): end it, and start again")
        return 1
    answer = _fetch(URL)
    if answer is None:
        say(f"✗ {URL} does not answer")
        return 1
    say(f"\n{URL} answers after {time.monotonic() - started:.1f} s:")
    sys.stdout.write(answer.strip() + "\n")
    sys.stdout.flush()
    portal, link = links
    if portal and _fetch(f"{portal}/sign-in") is None:
        say(f"✗ the portal at {portal} does not answer")
        return 1
    if portal:
        say(f"\nThe portal: {portal} (sign in once, within 15 minutes: {link})")
    return 0


def _fetch(url: str, seconds: float = 10.0) -> str | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with opener.open(url, timeout=2) as response:
                return str(response.read().decode())
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return None
