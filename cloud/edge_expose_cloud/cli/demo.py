"""`make demo`: from a spec file to an address that answers, with the very commands a person would type."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from edge_expose_cloud.cli.output import say
from edge_expose_local.instance import Instance
from edge_expose_local.settings import LocalSettings

SPEC: Final = Path("deployment-manifests") / "specs" / "two-tier.yaml"
URL: Final = "http://127.77.0.15:8080"
APPLY_SECONDS: Final = 90


def run_demo(state: Path | None, once: bool) -> int:
    """0 when everything held, else 1. Without `once` it stays up until Ctrl-C."""
    if not SPEC.is_file():
        say(f"✗ {SPEC} is not here: run this from the checkout")
        return 1
    own = state is None
    folder = Path(tempfile.mkdtemp(prefix="edge-expose-demo-")) if state is None else state.absolute()
    instance = Instance(folder)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    started = time.monotonic()
    try:
        say("starting IoT Hub, edge runtime and cluster on this machine ...")
        instance.prepare(LocalSettings())
        instance.up_detached()
        say(f"up after {time.monotonic() - started:.1f} s")
        code = _apply(instance)
        if code == 0:
            code = _show(started, once, stop)
        return code
    finally:
        say("taking everything down ...")
        instance.down(wipe=own)
        if own:
            shutil.rmtree(folder, ignore_errors=True)


def _apply(instance: Instance) -> int:
    environment = {**os.environ, **instance.environment()}
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        environment.pop(variable, None)
    backups = str(instance.state / "backups")
    steps: list[tuple[list[str], tuple[int, ...]]] = [
        (["validate", str(SPEC)], (0,)),
        (["plan", str(SPEC)], (0, 3)),
        (["apply", str(SPEC), "--yes", "--wait", "--timeout", str(APPLY_SECONDS), "--backup", backups], (0,)),
        (["status", "edge1"], (0,)),
    ]
    for arguments, good in steps:
        say(f"\n$ edge-expose {' '.join(arguments)}")
        code = subprocess.run([sys.executable, "-m", "edge_expose_cloud", *arguments], env=environment).returncode
        if code not in good:
            say(f"✗ it ended with {code}")
            return 1
    return 0


def _show(started: float, once: bool, stop: threading.Event) -> int:
    answer = _fetch(URL)
    if answer is None:
        say(f"✗ {URL} does not answer")
        return 1
    say(f"\n{URL} answers after {time.monotonic() - started:.1f} s:")
    sys.stdout.write(answer.strip() + "\n")
    sys.stdout.flush()
    if not once:
        say(f"\nOpen {URL} in a browser. Ctrl-C takes everything down.")
        stop.wait()
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
