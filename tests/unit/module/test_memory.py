"""Any document that a hub can carry stays under 128 MB, when it comes and at a start from the state file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_expose_contract.limits import SECTION_BYTES, section_size
from support.cluster import ROOT, clean_environment

MEGABYTES = 128
Json = dict[str, Any]
TARGETS = [f"10.1.2.{number}" for number in range(100)]


def carried(exposure: Callable[[int], Json], most: int = 5000) -> Json:
    """As many exposures as one twin section holds."""
    document: Json = {"schemaVersion": "1.0", "exposures": {}}
    room = SECTION_BYTES - section_size(document)
    for number in range(most):
        entry = {f"e{number:x}": exposure(number)}
        room -= section_size(entry)
        if room < 0:
            break
        document["exposures"].update(entry)
    return document


DOCUMENTS = [
    pytest.param(carried(lambda _: {"module": "m", "ports": ["1-1000"]}), id="1,000 ports each"),
    pytest.param(carried(lambda _: {"module": "m", "ports": ["1-999", "1/udp"]}), id="two Services each"),
    pytest.param(carried(lambda _: {"module": "m", "ports": ["1-1000"]}, 5), id="all the ports there may be"),
    pytest.param(carried(lambda _: {"endpoints": TARGETS, "ports": ["1-1000"]}, 5), id="all the endpoints too"),
    pytest.param(carried(lambda _: {"module": "m", "ports": [1], "type": "ClusterIP"}), id="a Service each"),
    pytest.param(carried(lambda _: {"module": "m", "ports": ["1-1000"], "enabled": False}), id="all disabled"),
    pytest.param(
        carried(lambda _: {"module": "m", "ports": ["1-1000"], "expires": "2020-01-01T00:00:00Z"}), id="all expired"
    ),
    pytest.param(carried(lambda _: {"module": "m", "ports": [["1-1000"]]}), id="none that can be read"),
]


def run(state: Path, document: Json | None) -> Json:
    environment = clean_environment()
    environment["PYTHONPATH"] += f":{ROOT / 'tests'}"
    done = subprocess.run(
        [sys.executable, "-m", "support.heavy_document"],
        input=json.dumps({"state": str(state), "document": document}),
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer: Json = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_that_a_hub_can_carry_takes_little_memory(document: Json, tmp_path: Path) -> None:
    live = run(tmp_path, document)
    started = run(tmp_path, None)
    assert live["megabytes"] < MEGABYTES
    assert started["megabytes"] < MEGABYTES
    assert started["services"] == live["services"]


def test_a_state_file_of_a_module_without_the_cap_is_read_within_it(tmp_path: Path) -> None:
    document = carried(lambda _: {"module": "m", "ports": ["1-1000"]})
    memory = {"format": 1, "document": document, "version": 3, "wishes": document["exposures"]}
    (tmp_path / "state.json").write_text(json.dumps(memory))
    started = run(tmp_path, None)
    assert started["megabytes"] < MEGABYTES
    assert started["services"] == 5
    assert ["Blocked", "TooManyPorts", len(document["exposures"]) - 5] in started["states"]
