"""The module's own account of what happened, and who had which address when."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_cloud.status.timeline import Tenure, tenures, timeline


def change(number: int, exposure: str, state: str | None, address: str = "", **more: Any) -> dict[str, Any]:
    return {"number": number, "time": f"T{number}", "exposure": exposure, "state": state, "address": address, **more}


CHANGES = [
    change(5, "api", "Ready", "10.0.0.11"),
    change(4, "web", None),
    change(3, "web", "Ready", "10.0.0.12", change={"by": "ada@portal", "note": "new rack"}),
    change(2, "web", "Ready", "10.0.0.11", reason=""),
    change(1, "web", "Pending"),
]


def test_who_had_which_address_and_until_when() -> None:
    assert tenures(timeline({"changes": CHANGES})) == [
        Tenure("10.0.0.11", "api", "T5", ""),
        Tenure("10.0.0.12", "web", "T3", "T4"),
        Tenure("10.0.0.11", "web", "T2", "T3"),
    ]


def test_whose_change_it_was_is_told() -> None:
    moments = timeline({"changes": CHANGES})
    assert [(moment.exposure, moment.state, moment.by, moment.note) for moment in moments[1:3]] == [
        ("web", "", "", ""),
        ("web", "Ready", "ada@portal", "new rack"),
    ]


@pytest.mark.parametrize(
    "answer",
    [None, [], {"changes": 5}, {"changes": [5, {}, {"exposure": 7}, []]}, {"changes": None}],
)
def test_what_makes_no_sense_is_left_out(answer: Any) -> None:
    assert timeline(answer) == []
    assert tenures(timeline(answer)) == []


def test_a_long_history_is_cut() -> None:
    moments = timeline({"changes": [change(n, "x" * 9000, "Ready") for n in range(9000)]})
    assert len(moments) == 500
    assert len(moments[0].exposure) == 300
