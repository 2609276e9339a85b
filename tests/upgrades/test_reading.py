"""What an older version wrote, today's code reads and understands: one folder a version, made by record.py.

A device that is updated keeps its addresses because of this, and a hub is full of what older versions put there.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from azure.iot.hub.models import Configuration, Twin

from edge_expose_cloud.adapters.files import read_backups
from edge_expose_cloud.adapters.iothub_models import deployment_of, twin_of
from edge_expose_cloud.plan.backups import difference, hub_of
from edge_expose_cloud.plan.deployment import live_deployments, owned_exposures
from edge_expose_cloud.status.fleet import status_of
from edge_expose_contract.parsing import Refusal, parse_desired
from edge_expose_module.adapters.state_file import StateFile
from edge_expose_module.state.memory import Memory

HERE = Path(__file__).parent
VERSIONS = sorted(path.name for path in HERE.iterdir() if (path / "expected.json").is_file())
NEEDED = {"state.json", "twin.json", "deployment.json", "backup", "expected.json", "held-back"}


@pytest.fixture(params=VERSIONS)
def folder(request: pytest.FixtureRequest) -> Path:
    return HERE / str(request.param)


@pytest.fixture
def expected(folder: Path) -> dict[str, Any]:
    return read(folder / "expected.json")


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


def memory(folder: Path, tmp_path: Path) -> Memory:
    """As the module loads it at a start."""
    shutil.copy(folder / "state.json", tmp_path / "state.json")
    loaded = StateFile(tmp_path).load()
    assert (tmp_path / "state.json").exists(), "the state file was set aside"
    return loaded


def twin(folder: Path) -> Any:
    """As the hub's SDK hands it over."""
    return twin_of(Twin.deserialize(read(folder / "twin.json")))


def test_the_first_version_is_there_and_every_one_is_whole() -> None:
    assert "1.0.0" in VERSIONS
    assert {name: NEEDED - {path.name for path in (HERE / name).iterdir()} for name in VERSIONS} == {
        name: set() for name in VERSIONS
    }


def test_nothing_recorded_holds_a_secret(folder: Path) -> None:
    secret = re.compile(r"SharedAccess|-----BEGIN|password|secret|[A-Za-z0-9+/]{43}=", re.IGNORECASE)
    for path in folder.rglob("*.json"):
        assert secret.findall(path.read_text()) == [], path


def test_the_state_file_gives_addresses_the_last_good_exposures_and_times(
    folder: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    loaded = memory(folder, tmp_path)
    assert loaded.version == expected["version"]
    known = {name: ",".join(map(str, found)) for name, found in loaded.known_addresses().items()}
    assert known == expected["remembered"]
    good = loaded.good_exposures()
    spoiled = expected["spoiled"]
    assert [str(mapping) for mapping in good[spoiled["name"]].mappings] == spoiled["lastGoodPorts"]
    assert set(good) == set(expected["services"])
    assert {name: [entry.state, entry.time] for name, entry in loaded.since.items()} == expected["states"]
    assert set(loaded.expired) == {expected["expired"]}
    site = loaded.good_site()
    assert site is not None
    assert {name: str(address) for name, address in site.reserved.items()} == expected["reserved"]


def test_what_today_writes_of_an_old_state_file_loses_nothing(folder: Path, tmp_path: Path) -> None:
    loaded = memory(folder, tmp_path)
    assert Memory.from_json(loaded.to_json()) == loaded


def test_a_removal_that_was_held_back_still_is(folder: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    loaded = memory(folder / "held-back", tmp_path)
    assert sorted(loaded.held_before) == expected["heldBack"]
    told = status_of(twin(folder / "held-back"))
    assert told.code == 406
    assert told.pending_removal is not None
    assert told.pending_removal["count"] == len(expected["heldBack"])


def test_the_document_is_accepted_and_only_what_was_spoiled_is_wrong(folder: Path, expected: dict[str, Any]) -> None:
    document = parse_desired(twin(folder).desired)
    assert not isinstance(document, Refusal)
    assert set(document.invalid) == {expected["spoiled"]["name"]}


def test_the_status_is_told_from_the_reported_twin(folder: Path, expected: dict[str, Any]) -> None:
    told = status_of(twin(folder))
    states = {name: [entry["state"], entry["since"]] for name, entry in told.exposures.items()}
    assert states == expected["states"]
    for name, addresses in expected["services"].items():
        assert told.exposures[name].get("address", "") == ",".join(addresses)
    assert (told.code, told.reported_version) == (200, expected["version"])
    assert told.summary["ready"] == sum(state == "Ready" for state, _ in expected["states"].values())
    for _, since in expected["states"].values():
        assert dt.datetime.fromisoformat(since).tzinfo is not None


def test_addresses_that_only_the_twin_knows_are_learned(folder: Path, expected: dict[str, Any]) -> None:
    known = Memory().learn_reported(twin(folder).reported).known_addresses()
    told = {name: ",".join(map(str, found)) for name, found in known.items()}
    assert told == {name: ",".join(found) for name, found in expected["services"].items() if found}


def test_a_backup_is_found_and_goes_back_to_what_was(folder: Path, expected: dict[str, Any]) -> None:
    (path,) = (folder / "backup").iterdir()
    (backup,) = read_backups(folder / "backup", "edge1", hub_of(path.read_text()))
    assert backup.desired is not None
    assert not isinstance(parse_desired(backup.desired), Refusal)
    back = difference(twin(folder).desired, backup.desired)
    shown = {"added": list(back.added), "changed": list(back.changed), "removed": list(back.removed)}
    assert shown == expected["rollback"]
    assert not back.site


def test_a_deployment_is_known_as_ours_with_what_it_sets(folder: Path, expected: dict[str, Any]) -> None:
    found = deployment_of(Configuration.deserialize(read(folder / "deployment.json")))
    wanted = expected["deployment"]
    assert live_deployments(found.labels["edgeExposeSpec"], [found]) == [found]
    assert sorted(owned_exposures([found], [found.id])) == wanted["exposures"]
    assert (found.target_condition, found.priority) == (wanted["condition"], wanted["priority"])
    assert found.metric_queries
