"""What Cilium and the service controller say in each situation is what tests/agreements/recorded holds.

EDGE_EXPOSE_RENEW_RECORDINGS=1 writes the files instead, from Kubernetes 1.36; without it both versions are compared.
"""

from __future__ import annotations

import os

import pytest

from support import recorded
from support.testbed_balanced import BalancedCluster
from support.testbed_situations import FILES, SITUATIONS, Situation

_RENEW = os.environ.get("EDGE_EXPOSE_RENEW_RECORDINGS") == "1"
_ALL = [(name, situation) for name, situations in SITUATIONS.items() for situation in situations]


@pytest.mark.parametrize(("name", "situation"), [pytest.param(name, one, id=f"{name}-{one.id}") for name, one in _ALL])
def test_a_situation_is_answered_as_recorded(cluster: BalancedCluster, name: str, situation: Situation) -> None:
    if cluster.load_balancer != name:
        pytest.skip(f"only on {name}")
    said = {"given": situation.given, **situation.play(cluster, cluster.namespace())}
    if _RENEW and cluster.profile == "1.36":
        path = recorded.FOLDER / f"{FILES[name]}.json"
        kept = recorded.read(FILES[name])["answers"] if path.exists() else {}
        known = {one.id for one in SITUATIONS[name]}
        recorded.write(FILES[name], {**{key: kept[key] for key in kept if key in known}, situation.id: said})
    assert said == recorded.read(FILES[name])["answers"][situation.id]


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_recording_holds_each_situation_and_no_other(name: str) -> None:
    assert sorted(recorded.read(FILES[name])["answers"]) == sorted(one.id for one in SITUATIONS[name])
