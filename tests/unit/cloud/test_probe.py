"""Test connection: whatever the device answers is one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_cloud.hub.api import MethodResult
from edge_expose_cloud.usecases.probe import probe_exposure
from edge_expose_contract.identity import MODULE_ID
from support.cloud import applied_hub


def found(**fields: Any) -> dict[str, Any]:
    return {"probes": {"web-out": {"target": "10.0.0.11:8080", "detail": "", **fields}}}


@pytest.mark.parametrize(
    ("payload", "answers", "text"),
    [
        (found(ok=True, milliseconds=2.7), True, "10.0.0.11:8080 answers in 3 ms"),
        (found(ok=True, milliseconds=True, detail="HTTP 200"), True, "10.0.0.11:8080 answers: HTTP 200"),
        (found(ok=False, milliseconds=None, detail="refused"), False, "10.0.0.11:8080 does not answer: refused"),
        ({"probes": {"web-out": {"ok": False, "detail": "no external address"}}}, False, "no external address"),
        ({"error": "there is no exposure web-out"}, None, "there is no exposure web-out"),
        ({"probes": []}, None, "the device said: nothing"),
        ([], None, "the device said: nothing"),
    ],
)
def test_what_the_device_finds(payload: Any, answers: bool | None, text: str) -> None:
    hub = applied_hub()
    hub.methods["d1", MODULE_ID, "probe"] = lambda asked: MethodResult(200, payload)
    tested = probe_exposure(hub, "d1", "web-out")
    assert tested.answers is answers
    assert text in tested.text


def test_a_device_that_is_away_did_not_answer() -> None:
    tested = probe_exposure(applied_hub(), "d1", "web-out")
    assert (tested.answers, tested.text) == (None, "the device did not answer: nobody listens")
