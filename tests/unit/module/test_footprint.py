"""What the module costs whatever the machine: what it imports, and how many bytes a pass sends.

Each limit is what was measured, with a little room. Whoever goes beyond one reads here what it was for: a device has
little memory, and every import is in it for good.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from edge_expose_module.cluster.api import Resource
from support.bench import Bench
from support.cluster import clean_environment
from support.fake_cluster import FakeCluster
from support.fake_pools import FakePool
from support.fake_twin import FakeTwin
from support.lots import own

# Runs the real process without a hub or a cluster until it has made a pass, and tells what it imported by then.
_PROBE = """
import json, os, socket, sys, threading, time
import edge_expose_module.__main__ as module

def answer():
    with socket.create_connection(("127.0.0.1", int(os.environ["EDGE_EXPOSE_HTTP_ADDRESS"].split(":")[1]))) as asked:
        asked.sendall(b"GET /readyz HTTP/1.0\\r\\n\\r\\n")
        return asked.makefile("rb").read()

def tell():
    while True:
        try:
            if b"no pass yet" not in answer():
                break
        except ConnectionRefusedError:
            pass
        time.sleep(0.02)
    sys.stdout.write(json.dumps(sorted(sys.modules)))
    sys.stdout.flush()
    os._exit(0)

threading.Thread(target=tell, daemon=True).start()
module.main()
"""

MOST_MODULES = 710
EXPECTED = frozenset(
    {
        "annotated_types",
        "azure",
        "certifi",
        "chardet",
        "charset_normalizer",
        "deprecation",
        "edge_expose_contract",
        "edge_expose_module",
        "idna",
        "janus",
        "packaging",
        "paho",
        "prometheus_client",
        "pydantic",
        "pydantic_core",
        "requests",
        "requests_unixsocket",
        "socks",
        "typing_extensions",
        "typing_inspection",
        "urllib3",
        "yaml",
    }
)
"""Packages that the module runs with, beside the standard library."""
HEAVY = ("kubernetes", "oauthlib", "requests_oauthlib", "websocket", "dateutil", "google", "cryptography", "OpenSSL")
"""What nothing but a kubeconfig with a plugin may bring in: the official client and what comes with it cost 5 MB."""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("footprint")
    kubeconfig = folder / "kubeconfig"
    content = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", "insecure-skip-tls-verify": True}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    kubeconfig.write_text(json.dumps(content))
    environment = clean_environment() | {
        "KUBECONFIG": str(kubeconfig),
        "EDGE_EXPOSE_STATE_DIR": str(folder / "state"),
        "EDGE_EXPOSE_HTTP_ADDRESS": f"127.0.0.1:{own().ports(1)[0]}",
        "EdgeHubConnectionString": "HostName=127.0.0.1;DeviceId=edge1;ModuleId=edge-expose;SharedAccessKey=AAAA",
    }
    command = [sys.executable, "-c", _PROBE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    return list(json.loads(done.stdout))


def test_the_module_imports_no_package_that_it_did_not_need_before(imported: list[str]) -> None:
    packages = {name.split(".")[0] for name in imported} - set(sys.stdlib_module_names)
    # What compiled packages leave beside themselves has names of its own in each version.
    newcomers = {
        name for name in packages - EXPECTED if not name.startswith("_") and not re.search("mypyc|cython", name)
    }
    assert not newcomers, f"new in the module's memory: {', '.join(sorted(newcomers))}; is each worth it?"
    assert not packages.intersection(HEAVY)


def test_the_module_imports_no_more_files_than_before(imported: list[str]) -> None:
    largest = Counter(name.split(".")[0] for name in imported).most_common(12)
    assert len(imported) <= MOST_MODULES, (
        f"{len(imported)} modules, at most {MOST_MODULES} were needed; most: {largest}"
    )


class SendingCluster(FakeCluster):
    """Counts the bytes of what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0

    def create(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.sent += len(json.dumps(dict(body), separators=(",", ":")))
        return super().create(resource, namespace, body)

    def patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.sent += len(json.dumps(dict(body), separators=(",", ":")))
        return super().patch(resource, namespace, name, body)


class SendingTwin(FakeTwin):
    """Counts the bytes of what is reported."""

    sent = 0

    async def report(self, patch: Mapping[str, Any]) -> None:
        self.sent += len(json.dumps(dict(patch), separators=(",", ":")))
        await super().report(patch)


COUNT = 50
WEB = {"selector": ["app=w"], "ports": ["80:8080"]}


class Sending(Bench):
    def __init__(self) -> None:
        self.to_cluster, self.to_hub = SendingCluster(), SendingTwin()
        self.to_cluster.metallb.configure({"p": FakePool.of("10.0.0.1-10.0.0.60")})
        super().__init__(self.to_cluster, self.to_hub)

    def sent(self) -> tuple[int, int]:
        """To the cluster and to the hub, since the last call."""
        self.run()
        found = self.to_cluster.sent, self.to_hub.sent
        self.to_cluster.sent = self.to_hub.sent = 0
        return found


def test_bytes_of_a_first_pass_and_of_one_edit() -> None:
    bench = Sending()
    bench.to_cluster.add_pod("p", {"app": "w"})
    wishes = {f"e{number:03}": WEB for number in range(COUNT)}
    bench.desire(wishes)
    cluster, hub = bench.sent()
    assert cluster / COUNT <= 650, f"{cluster / COUNT:.0f} bytes for each Service"
    assert hub / COUNT <= 160, f"{hub / COUNT:.0f} bytes of report for each exposure"
    bench.desire({**wishes, "e007": {**WEB, "ports": ["81:8080"]}})
    cluster, hub = bench.sent()
    assert cluster <= 230, f"{cluster} bytes for one edit"
    assert hub <= 60, f"{hub} bytes of report for one edit"
    assert bench.sent() == (0, 0)
