"""What `kubectl explain` tells: every kind is described, and nothing is that does not exist."""

from __future__ import annotations

import pytest

from edge_expose_local.cluster.kinds.profiles import PROFILES
from edge_expose_local.cluster.kinds.resources import served_resources
from edge_expose_local.cluster.kinds.types.descriptions import description, descriptions


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_every_kind_is_described(profile) -> None:
    roots = [profile.types.root(item.api_version, item.kind) for item in served_resources(profile)]
    assert [name for name in roots if name and not description(name)] == []


def test_what_is_described_exists() -> None:
    known: dict[str, set[str]] = {}
    for profile in PROFILES.values():
        for name in descriptions():
            if name != "*" and profile.types.has(name):
                known.setdefault(name, {""}).update(profile.types.fields(name))
    for name, fields in descriptions().items():
        assert name == "*" or set(fields) <= known[name], name


def test_a_field_of_all_kinds_is_described_once() -> None:
    assert description("ConfigMap", "metadata") == description("Secret", "metadata") != ""
    assert description("ConfigMap", "spec") != description("Service", "spec")
    assert description("ConfigMap", "nothing") == ""
