"""Writes down the formats of today: `python tests/upgrades/record.py` makes tests/upgrades/VERSION.

A real run of local mode leaves them behind: the module's state file, its twin, an automatic deployment as the hub keeps
it, and the backup that `apply` to one device writes. Beside them stands `expected.json`: what the run was told and what
the cluster showed, read without the code that wrote those files. Record a version once, before its release; a later
version adds a folder and changes none of the older ones.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.hub import Call, caller_of
from support.local import Local
from support.waiting import eventually

HERE = Path(__file__).resolve().parent
MODULE = "/twins/edge1/modules/edge-expose"
MODULES = {
    "webserver": {"image": "edge-expose/sample-web:1", "env": {"DATABASE": "db"}},
    "database": {"image": "edge-expose/sample-db:1", "createOptions": {"HostConfig": {"Memory": 67108864}}},
}
FLEET = """
schemaVersion: "1.0"
name: north-dashboard
target: {condition: "tags.region='north'", priority: 20, layered: true}
addModule: false
modules: {dashboard: {image: "edge-expose/echo:1"}}
exposures: {dash: {module: dashboard, ports: ["443:8443"], hostname: dash.example.com}}
"""


def spec_of(local: Local, exposures: dict[str, Any]) -> str:
    network = {
        "externalServiceIPs": f"{local.address(10)}-{local.address(20)}",
        "reserved": {"edgehub": local.address(10)},
    }
    target = {"device": "edge1"}
    head = {"schemaVersion": "1.0", "name": "two-tier", "target": target, "network": network, "modules": MODULES}
    return json.dumps({**head, "exposures": exposures})


def run(local: Local, folder: Path) -> None:
    """The run itself; `folder` takes what it leaves behind."""
    backups = folder / "backup"
    call = caller_of(local.environment["IOTHUB_CONNECTION_STRING"], Path(local.environment["EDGE_EXPOSE_HUB_CA"]))
    first = {
        "web": {
            "module": "webserver",
            "ports": ["8080:80"],
            "address": local.address(15),
            "allowFrom": ["127.0.0.0/8"],
        },
        "auto": {"module": "webserver", "ports": ["8081:80"]},
        "db": {"module": "database", "type": "ClusterIP", "ports": [5432]},
        "spare": {"module": "webserver", "ports": ["8082:80"], "address": local.address(17)},
    }
    local.run("apply", "-", "--yes", "--backup", str(folder / "none"), stdin=spec_of(local, first))
    shutil.rmtree(folder / "none", ignore_errors=True)  # the first one holds a device without a module
    for name in first:
        local.wait_for(name, "Ready")
    second = {**first, "late": {"module": "webserver", "ports": ["8083:80"], "expires": "2020-01-01T00:00:00Z"}}
    second["spare"] = {**first["spare"], "enabled": False}
    words = ("--allow", "removals=1")
    local.run("apply", "-", "--yes", *words, "--backup", str(backups), stdin=spec_of(local, second))
    local.wait_for("late", "Expired")
    local.wait_for("spare", "Disabled")
    # Somebody spoils an exposure by hand: the module goes on with its last good form.
    patch = {"properties": {"desired": {"exposures": {"auto": {"ports": ["none"]}}}}}
    assert call("PATCH", MODULE, patch).status_code == 200
    local.wait_for("auto", "Blocked")
    local.run("apply", "-", "--yes", stdin=FLEET)
    write(folder, local, call)
    # At last most of it is taken away at once, which the module holds back until it is confirmed.
    patch = {"properties": {"desired": {"exposures": dict.fromkeys(("web", "auto", "db"))}}}
    assert call("PATCH", MODULE, patch).status_code == 200
    eventually(lambda: "pendingRemoval" in call("GET", MODULE).json()["properties"]["reported"], what="held back")
    held_back = folder / "held-back"
    held_back.mkdir()
    (held_back / "state.json").write_text(state_file(local).read_text())
    _dump(held_back / "twin.json", call("GET", MODULE).json())


def state_file(local: Local) -> Path:
    (found,) = local.instance.state.glob("**/state.json")
    return found


def write(folder: Path, local: Local, call: Call) -> None:
    twin = call("GET", MODULE).json()
    version = int(twin["properties"]["desired"]["$version"])
    state = state_file(local)
    eventually(lambda: json.loads(state.read_text())["version"] == version, what="the state file is up to date")
    (folder / "state.json").write_text(state.read_text())
    _dump(folder / "twin.json", twin)
    (found,) = (item for item in call("GET", "/configurations?top=20").json() if "dashboard" in item["id"])
    found["labels"]["edgeExposeBy"] = "operator@example"
    _dump(folder / "deployment.json", found)
    services = json.loads(local.kubectl("get", "services", "--all-namespaces", "-o", "json"))["items"]
    told = twin["properties"]["reported"]["exposures"]
    expected = {
        "version": version,
        "remembered": {"web": local.address(15), "auto": local.address(11), "spare": local.address(17)},
        "services": {
            item["metadata"]["name"]: [entry["ip"] for entry in item["status"]["loadBalancer"].get("ingress") or []]
            for item in services
            if (item["metadata"].get("labels") or {}).get("app.kubernetes.io/managed-by") == "edge-expose"
        },
        "states": {name: [entry["state"], entry["since"]] for name, entry in told.items()},
        "spoiled": {"name": "auto", "lastGoodPorts": ["8081:80/tcp"]},
        "expired": "late",
        "reserved": {"edgehub": local.address(10)},
        "rollback": {"added": [], "changed": ["auto", "spare"], "removed": ["late"]},
        "deployment": {"exposures": ["dash"], "condition": "tags.region='north'", "priority": 20},
        "heldBack": ["auto", "db", "web"],
    }
    _dump(folder / "expected.json", expected)


def _dump(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--to", type=Path, default=HERE / importlib.metadata.version("edge-expose"))
    to = parser.parse_args().to
    if to.exists():
        parser.error(f"{to} is there already: a recorded version does not change")
    with tempfile.TemporaryDirectory(prefix="edge-expose-upgrades-") as folder:
        local = Local(Path(folder), block=121)
        try:
            made = Path(folder) / "made"
            made.mkdir()
            run(local, made)
        finally:
            local.stop()
        shutil.copytree(made, to)
    print(f"recorded {to}")


if __name__ == "__main__":
    main()
