"""Runs every scenario: a world, steps that move it, and what must be true after each.

A case is a YAML list under a sentence. A step says what happens (`desire`, `patch`, `raw`, `pod`, `remove_pod`, `pool`,
`service`, `delete_service`, `edit_service`, `rebuild`, `restart`, `new_disk`, `hub`, `cluster`, `later`, `hide`,
`confirm`) and what is expected: `expect` by exposure as [state, address, reason], `code`, `services` by name as fields,
`absent`, `writes`, `report`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_expose_contract.addressing import AddressSet
from edge_expose_module.desired.rails.model import Guards
from support.bench import Bench
from support.fake_cluster import FakeCluster

CASES = [
    pytest.param(steps, id=f"{file.stem}: {sentence}")
    for file in sorted((Path(__file__).parent / "cases").glob("*.yaml"))
    for sentence, steps in yaml.safe_load(file.read_text()).items()
]


@pytest.mark.parametrize("steps", CASES)
def test_scenario(steps: list[dict[str, Any]]) -> None:
    bench = _world(steps[0].get("world", {}))
    for number, step in enumerate(steps):
        _move(bench, step)
        before = len(bench.cluster.writes)
        bench.run()
        _expect(bench, step, before, f"step {number + 1}")
        quiet = len(bench.cluster.writes)
        reports = len(bench.twin.patches)
        bench.run(1)
        assert bench.cluster.writes[quiet:] == [], f"step {number + 1}: a quiet world is written to"
        assert len(bench.twin.patches) == reports, f"step {number + 1}: a quiet world is reported again"


def _world(world: dict[str, Any]) -> Bench:
    cluster = FakeCluster(
        world.get("pool", "10.0.0.10-10.0.0.20"),
        git_version=world.get("kubernetes", "v1.36.3"),
        dialect=world.get("dialect", "crd"),
        readable_pool=world.get("readable_pool", True),
        denied=frozenset((verb, plural) for verb, plural in world.get("denied", [])),
    )
    cluster.rails = world.get("rails")
    guards = world.get("guards", {})
    return Bench(
        cluster,
        guards=Guards(
            namespaces=frozenset(guards["namespaces"]) if "namespaces" in guards else None,
            ports=tuple((low, high) for low, high in guards["ports"]) if "ports" in guards else None,
            addresses=AddressSet.parse(guards["addresses"]) if "addresses" in guards else None,
            max_exposures=guards.get("max_exposures"),
        ),
    )


def _move(bench: Bench, step: dict[str, Any]) -> None:
    cluster = bench.cluster
    for key, value in step.items():
        match key:
            case "pod":
                for name, labels in value.items():
                    cluster.add_pod(name, labels)
            case "remove_pod":
                del cluster.pods[("edge1", value)]
            case "service":
                for name, spec in value.items():
                    plain = {key: part for key, part in spec.items() if key != "labels"}
                    cluster.add_service(name, plain, labels=spec.get("labels", {}))
            case "delete_service":
                del cluster.services[("edge1", value)]
            case "edit_service":
                for name, spec in value.items():
                    cluster.services[("edge1", name)]["spec"].update(spec)
                cluster.settle()
            case "pool":
                cluster.set_pool(value)
            case "hide":
                cluster.hidden.add(value)
            case "rebuild":
                cluster.lose_services()
            case "restart":
                bench.restart()
            case "new_disk":
                bench.restart(keep_disk=False)
            case "later":
                bench.later(**value)
            case "cluster":
                cluster.down = value == "down"
            case "hub":
                bench.twin.away = value == "away"
            case "desire":
                bench.desire(value, **step.get("document", {}))
            case "patch":
                bench.twin.patch_desired(value)
            case "raw":
                bench.twin.set_desired(value)
            case "confirm":
                bench.twin.patch_desired({"confirmRemoval": bench.twin.reported["pendingRemoval"]["token"]})
            case "world" | "document" | "expect" | "code" | "services" | "absent" | "writes" | "report":
                pass
            case _:
                raise AssertionError(f"unknown step {key}")


def _expect(bench: Bench, step: dict[str, Any], writes_before: int, where: str) -> None:
    report = bench.twin.reported
    for name, wanted in step.get("expect", {}).items():
        found = list(bench.state(name))
        assert found[: len(wanted)] == wanted, f"{where}, {name}: {report['exposures'][name]}"
    if "code" in step:
        assert report["lastDesiredStatus"]["code"] == step["code"], f"{where}: {report['lastDesiredStatus']}"
    for name, fields in step.get("services", {}).items():
        body = bench.cluster.services[("edge1", name)]
        for path, wanted in fields.items():
            assert _at(body, path) == wanted, f"{where}, Service {name}: {path} is {_at(body, path)!r}"
    for name in step.get("absent", []):
        assert ("edge1", name) not in bench.cluster.services, f"{where}: Service {name} is there"
    if "writes" in step:
        assert len(bench.cluster.writes) - writes_before == step["writes"], f"{where}: {bench.cluster.writes}"
    for path, wanted in step.get("report", {}).items():
        assert _at(report, path) == wanted, f"{where}: {path} is {_at(report, path)!r}"


def _at(value: Any, path: str) -> Any:
    for part in path.split("/"):
        if isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(part.replace("~", "/"))
        else:
            return None
    return value
