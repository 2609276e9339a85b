"""What the real components answer is what tests/agreements/recorded says, and the embedded ones answer the same.

Fakes and stand-ins take their words from those files; `make recordings` renews them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support import recorded
from support.situations.bed import Bed
from support.situations.beds import KINDS, real_bed
from support.situations.table import KUBERNETES, METALLB, Situation, load
from support.testbed_binaries import LOOPBACK, why_not

TABLE = load()
ORDINARY = [row for row in TABLE.values() if not row.needs]
SPECIAL = [
    pytest.param(profile, needs, id=f"{profile}-{needs}", marks=pytest.mark.testbed)
    for profile in sorted(METALLB)
    for needs in KINDS
    if any(row.needs == needs and profile in row.profiles for row in TABLE.values()) and needs
]


def expected(row: Situation, profile: str) -> dict[str, Any]:
    return dict(recorded.read(row.component[profile])["answers"][row.id])


@pytest.fixture(scope="module")
def same_bed(_cluster) -> Bed:
    """One for all situations: it knows which pools it has written."""
    bed = _cluster.bed()
    assert isinstance(bed, Bed)
    return bed


@pytest.fixture
def bed(same_bed: Bed) -> Iterator[Bed]:
    yield same_bed
    same_bed.clear()


@pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in ORDINARY])
def test_an_answer_is_as_recorded(bed: Bed, row: Situation) -> None:
    if bed.profile not in row.profiles:
        pytest.skip(f"only on {', '.join(row.profiles)}")
    if bed.real is None and not row.embedded:
        pytest.skip("only on the real cluster: the embedded one does not know this situation")
    assert {"given": row.given, **row.run(bed).template()} == expected(row, bed.profile)


@pytest.mark.parametrize(("profile", "needs"), SPECIAL)
def test_answers_of_special_clusters_are_as_recorded(profile: str, needs: str, tmp_path) -> None:
    reason = why_not(profile, LOOPBACK)
    if reason:
        pytest.skip(reason)
    rows = [row for row in TABLE.values() if row.needs == needs and profile in row.profiles]
    found = {}
    with real_bed(profile, tmp_path, needs) as bed:
        for row in rows:
            found[row.id] = {"given": row.given, **row.run(bed).template()}
            bed.clear()
    assert found == {row.id: expected(row, profile) for row in rows}


@pytest.mark.parametrize("profile", sorted(METALLB))
def test_every_situation_is_recorded_and_nothing_else(profile: str) -> None:
    for component in (METALLB, KUBERNETES):
        rows = {row.id for row in TABLE.values() if row.component is component and profile in row.profiles}
        assert set(recorded.read(component[profile])["answers"]) == rows
