"""Command line and portal are two doors to one plan: the same digest, impact, findings and refusals from each."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from typing import Any

import pytest

from edge_expose_cloud.hub.api import MethodResult
from edge_expose_contract.identity import MODULE_ID
from support.cli import run
from support.cloud import READY, use_hub

SITUATIONS = 120
NAMES = ("web-out", "db", "api", "web", "shop")
ADDRESSES = ("10.0.0.10", "10.0.0.11", "10.0.0.12", "10.0.0.14", "10.9.9.9", "10.0.0.1")
FOREIGN = {"service": "default/legacy", "ours": False, "external": ["10.0.0.14"], "clusterIPs": [], "pods": []}


def situation(seed: int) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], str, dict[str, Any]]:
    """(exposures declared, report, Services that the device tells of, name, exposure wanted)."""
    pick = random.Random(seed)
    declared = {name: exposure(pick) for name in NAMES if pick.random() < 0.5}
    states = ["Ready", "Pending", "Blocked"]
    told = {
        name: {"state": pick.choice(states), "address": pick.choice(("", *ADDRESSES)), "service": f"d1/{name}"}
        for name in declared
        if pick.random() < 0.8
    }
    pool = {**READY["pool"], "free": pick.choice((0, 9))}
    report = {**READY, "exposures": told, "pool": pool}
    services = [FOREIGN] if pick.random() < 0.5 else []
    if pick.random() < 0.2:
        services.append({**FOREIGN, "service": "d1/api", "external": []})
    return declared, report, services, pick.choice(NAMES), exposure(pick)


def exposure(pick: random.Random) -> dict[str, Any]:
    port = pick.choice(("8080:80", "443", "53/udp", "5000-5002", "99999"))
    found: dict[str, Any] = {"module": pick.choice(("web", "database", "ghost")), "ports": [port]}
    if pick.random() < 0.2:
        found["type"] = "ClusterIP"
    if pick.random() < 0.4:
        found["address"] = pick.choice(ADDRESSES)
    if pick.random() < 0.2:
        found["share"] = "k"
    if pick.random() < 0.3:
        found["allowFrom"] = [pick.choice(("10.1.0.0/16", "0.0.0.0/0", "10.1.0.0/99"))]
    if pick.random() < 0.2:
        found["namespace"] = "other"
    if pick.random() < 0.1:
        found["expires"] = "2020-01-01T00:00:00Z"
    return found


OPTIONS = {
    "module": "--module",
    "ports": "--port",
    "type": "--type",
    "address": "--address",
    "share": "--share",
    "allowFrom": "--allow-from",
    "namespace": "--namespace",
    "expires": "--expires",
}


def arguments(fields: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for key, value in fields.items():
        for item in value if isinstance(value, list) else [value]:
            found += [OPTIONS[key], item]
    return found


def said(findings: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {(item["rule"], item["severity"], item["message"]) for item in findings}


def by_command(name: str, wanted: dict[str, Any]) -> tuple[str, Any]:
    result = run("expose", "d1", name, *arguments(wanted), "--dry-run", "-o", "json")
    if result.exit_code == 2:
        # What is wrong with the wish is shown as a finding a line: `✗ error PLACE: MESSAGE [RULE]`.
        return "refused", {re.sub(r".*\[(\w+)\]$", r"\1", line) for line in result.stderr.splitlines() if "✗" in line}
    if result.exit_code == 1:
        return "guard", ""
    made = json.loads(result.stdout)
    return "plan", (made["digest"], made["impact"], said(made["findings"]), made["dangers"])


def by_portal(api: Any, name: str, wanted: dict[str, Any]) -> tuple[str, Any]:
    answer = api.put(f"/api/devices/d1/exposures/{name}?dryRun=true", json={"exposure": wanted})
    body = answer.json()
    if answer.status_code == 422:
        return "refused", {item["rule"] for item in body["violations"] if item["severity"] == "error"}
    if answer.status_code == 409:
        return "guard", ""
    assert answer.status_code == 200, body
    return "plan", (body["digest"], body["impact"], said(body["findings"]), body["dangers"])


@pytest.mark.parametrize("seed", range(SITUATIONS))
def test_both_doors_make_the_same_plan_and_refuse_the_same(world, seed: int) -> None:
    declared, report, services, name, wanted = situation(seed)
    twin = world.hub.twins["d1", MODULE_ID]
    desired = {**twin.desired, "exposures": declared}
    world.hub.twins["d1", MODULE_ID] = replace(twin, desired=desired, reported=report, connection_state="Connected")
    world.hub.methods["d1", MODULE_ID, "topology"] = lambda asked: MethodResult(200, {"services": services})
    api = world.browser().client
    api.headers.update(world.bearer())
    use_hub(world.hub)
    try:
        assert by_command(name, wanted) == by_portal(api, name, wanted)
    finally:
        use_hub(None)


def test_the_situations_are_of_every_kind(world) -> None:
    """A test that never meets a refusal, or only refusals, would prove nothing."""
    kinds: dict[str, int] = {}
    for seed in range(SITUATIONS):
        declared, report, _, name, wanted = situation(seed)
        twin = world.hub.twins["d1", MODULE_ID]
        desired = {**twin.desired, "exposures": declared}
        world.hub.twins["d1", MODULE_ID] = replace(twin, desired=desired, reported=report)
        use_hub(world.hub)
        kind, _ = by_command(name, wanted)
        kinds[kind] = kinds.get(kind, 0) + 1
    use_hub(None)
    assert kinds["plan"] > 20, kinds
    assert kinds["refused"] > 20, kinds
