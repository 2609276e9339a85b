"""No secret is shown: in plans, on the way back, in a support bundle; and what is none stays readable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_expose_cloud.iotedge.create_options import write_create_options
from edge_expose_cloud.manifest.redaction import CHANGED, HIDDEN, hide_options, hide_pairs, hide_secrets, hide_twins
from edge_expose_cloud.plan.backups import content_of
from edge_expose_cloud.status.support_bundle import support_bundle
from edge_expose_cloud.usecases.apply import apply_plan
from edge_expose_cloud.usecases.export import export_spec
from edge_expose_cloud.usecases.expose import plan_unexpose
from edge_expose_cloud.usecases.operator import Operator
from edge_expose_cloud.usecases.plan import make_plan
from edge_expose_cloud.usecases.rollback import plan_restore
from support.cloud import NOW, spec_of_text
from support.fake_hub import FakeHub

SPEC = """\
schemaVersion: "1.0"
name: s
target: {device: d1}
registries: {acme: {address: r.example.com, username: u, password: "${env:SECRET}"}}
modules:
  web:
    image: "a/web:1"
    env: {TOKEN: "${env:SECRET}", URL: "https://u:${env:SECRET}@host", PLAIN: written}
    createOptions:
      Env: ["PAD=pad", "KEY=${env:SECRET}"]
      Cmd: ["serve", "--key", "${env:SECRET}"]
      HostConfig: {PortBindings: {80/tcp: [{HostPort: "8080"}]}}
    desired: {apiKey: "${env:SECRET}", level: high}
exposures:
  out: {module: web, ports: ["8080:80"], address: 10.0.0.11}
"""
BY_CONDITION = SPEC.replace("{device: d1}", "{condition: \"tags.site='n'\", priority: 1}")


def hub_with(text: str, secret: str) -> FakeHub:
    hub = FakeHub()
    hub.add_device("d1")
    apply_plan(hub, make_plan(hub, spec_of_text(text), {"SECRET": secret}), Operator("me@here", lambda: NOW))
    return hub


def leaks(document: Any, secret: str) -> bool:
    """The secret itself, its half (a chunk may hold no more), or either of them escaped, once or twice."""
    text = json.dumps(document)
    pieces = {secret, secret[: len(secret) // 2], secret[len(secret) // 2 :]}
    escaped = {json.dumps(piece)[1:-1] for piece in pieces}
    twice = {json.dumps(piece)[1:-1] for piece in escaped}
    return any(piece in text for piece in escaped | twice)


SECRETS = pytest.mark.parametrize(
    "secret",
    [
        pytest.param("old-token-123", id="an ordinary one"),
        pytest.param('quo"te\\né-secret', id="one that JSON escapes"),
        pytest.param("line one\nline two of it", id="one of two lines"),
        pytest.param("S3" * 400, id="one longer than a chunk"),
    ],
)


@SECRETS
@pytest.mark.parametrize("text", [SPEC, BY_CONDITION], ids=["device", "condition"])
@pytest.mark.parametrize("later", [SPEC, SPEC.replace("a/web:1", "a/web:2"), SPEC.replace("${env:SECRET}", "plain")])
def test_neither_the_old_nor_the_new_value_of_a_secret_is_in_a_plan(secret: str, text: str, later: str) -> None:
    if text is BY_CONDITION:
        later = later.replace("{device: d1}", "{condition: \"tags.site='n'\", priority: 1}")
    made = make_plan(hub_with(text, secret), spec_of_text(later), {"SECRET": "another-secret-456"})
    assert made.changes
    assert not leaks(made.to_json(), secret)
    assert not leaks(made.to_json(), "another-secret-456")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 600))
def test_a_secret_is_hidden_wherever_a_chunk_cuts_it(pad: int) -> None:
    text = SPEC.replace("PAD=pad", "PAD=" + "p" * pad)
    hub = hub_with(text, "0123456789abcdef")
    made = make_plan(hub, spec_of_text(text.replace("a/web:1", "a/web:2")), {"SECRET": "0123456789abcdef"})
    assert made.changes
    assert not leaks(made.to_json(), "0123456789abcdef")
    assert not leaks(support_bundle(hub, "d1", NOW)["twins"], "0123456789abcdef")


@SECRETS
def test_going_back_shows_no_value_of_the_backup_nor_of_the_hub(secret: str) -> None:
    saved: list[str] = []
    hub = hub_with(SPEC, secret)
    keeping = Operator("me@here", lambda: NOW, lambda name, text: saved.append(text) or name)  # type: ignore[func-returns-value]
    apply_plan(hub, make_plan(hub, spec_of_text(SPEC), {"SECRET": "another-secret-456"}), keeping)
    made = plan_restore(hub, "d1", content_of(saved[0]) or {})
    shown = {change.kind: change for change in made.changes}["Manifest"]
    assert not leaks(made.to_json(), secret)
    assert not leaks(made.to_json(), "another-secret-456")
    module = shown.before["$edgeAgent"]["modules"]["web"] if shown.before else {}
    again = shown.after["$edgeAgent"]["modules"]["web"] if shown.after else {}
    assert module["settings"]["image"] == again["settings"]["image"] == "a/web:1"
    assert (module["env"]["TOKEN"], again["env"]["TOKEN"]) == ({"value": CHANGED}, {"value": HIDDEN})
    assert module["env"]["PLAIN"] == again["env"]["PLAIN"] == {"value": HIDDEN}, "the same looks the same"


def test_a_rotated_secret_is_seen_to_change_and_what_is_none_stays_readable() -> None:
    made = make_plan(hub_with(SPEC, "old-token-123"), spec_of_text(SPEC), {"SECRET": "another-secret-456"})
    change = {change.kind: change for change in made.changes}["Manifest"]
    assert change.before is not None
    assert change.after is not None
    before, after = (side["$edgeAgent"]["modules"]["web"] for side in (change.before, change.after))
    assert before["env"] == {
        "TOKEN": {"value": CHANGED},
        "URL": {"value": CHANGED},
        "PLAIN": {"value": HIDDEN},
    }
    assert after["env"]["TOKEN"] == {"value": "${env:SECRET}"}
    assert before["settings"]["image"] == "a/web:1"
    assert before["settings"]["createOptions"] == {
        "Env": [f"PAD={HIDDEN}", f"KEY={CHANGED}"],
        "Cmd": [HIDDEN, HIDDEN, CHANGED],
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}},
    }
    assert change.before["web"] == {"apiKey": CHANGED, "level": HIDDEN}


def test_a_secret_that_did_not_change_is_shown_as_its_reference_on_both_sides() -> None:
    later = spec_of_text(SPEC.replace("a/web:1", "a/web:2"))
    made = make_plan(hub_with(SPEC, "old-token-123"), later, {"SECRET": "old-token-123"})
    change = {change.kind: change for change in made.changes}["Manifest"]
    sides = [side["$edgeAgent"]["modules"]["web"]["env"] for side in (change.before, change.after) if side]
    assert sides[0] == sides[1]
    assert sides[0]["TOKEN"] == {"value": "${env:SECRET}"}


def test_a_secret_in_an_annotation_is_hidden_in_the_twin_and_in_the_service() -> None:
    text = SPEC.replace("address: 10.0.0.11", 'annotations: ["example.com/key=${env:SECRET}"]')
    made = make_plan(hub_with(text, "old-token-123"), spec_of_text(text), {"SECRET": "another-secret-456"})
    assert {"ModuleTwin", "Service"} <= {change.kind for change in made.changes}
    assert not leaks(made.to_json(), "old-token-123")
    assert not leaks(made.to_json(), "another-secret-456")


def test_the_digest_is_the_same_for_the_same_plan_and_no_secret_is_needed_to_compare() -> None:
    hub = hub_with(SPEC, "old-token-123")
    first, again = (make_plan(hub, spec_of_text(SPEC), {"SECRET": "new"}) for _ in range(2))
    assert first.digest == again.digest


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param({"env": {"A": {"value": "x"}}}, {"env": {"A": {"value": HIDDEN}}}, id="an environment"),
        pytest.param({"env": {"A": {"value": 7}}}, {"env": {"A": {"value": HIDDEN}}}, id="a number may be a PIN"),
        pytest.param(
            {"env": {"A": {"value": "${env:A}"}}}, {"env": {"A": {"value": "${env:A}"}}}, id="a reference is no secret"
        ),
        pytest.param(
            {"properties.desired.modules.w.env.A": {"value": "x"}},
            {"properties.desired.modules.w.env.A": {"value": HIDDEN}},
            id="a layer's key",
        ),
        pytest.param(
            {"properties.desired.modules.w.settings.createOptions": '{"Env":["A=x"]}'},
            {"properties.desired.modules.w.settings.createOptions": HIDDEN},
            id="createOptions as a layer's key",
        ),
        pytest.param(
            {"createOptions": '{"Env":["A=x","B"]', "image": "i"},
            {"createOptions": HIDDEN, "image": "i"},
            id="createOptions that are no JSON",
        ),
        pytest.param({"createOptions": '{"Env":["A=x=y","B"]}'}, {"createOptions": HIDDEN}, id="createOptions as text"),
        pytest.param(
            {"registryCredentials": {"r": {"address": "a", "username": "u", "password": "p"}}},
            {"registryCredentials": {"r": {"address": "a", "username": "u", "password": HIDDEN}}},
            id="a registry",
        ),
        pytest.param({"selector": ["app=ws"], "ports": ["80:80"]}, {"selector": ["app=ws"], "ports": ["80:80"]}),
    ],
)
def test_what_is_hidden_and_what_is_not(value: Any, shown: Any) -> None:
    assert hide_secrets(value) == shown


def test_a_secret_in_a_later_chunk_is_hidden_though_that_chunk_names_no_environment() -> None:
    chunks = write_create_options({"Env": ["PAD=" + "p" * 500, "KEY=SECRETSECRET"], "HostConfig": {}})
    assert len(chunks) == 2
    assert "SECRET" not in json.dumps(hide_secrets({"settings": chunks}))


def test_desired_properties_of_a_module_that_is_not_ours_may_hold_anything() -> None:
    assert hide_twins({"web": {"apiKey": "x", "on": True}, "edge-expose": {"site": {"nodeIPs": "10.0.0.1"}}}) == {
        "web": {"apiKey": HIDDEN, "on": True},
        "edge-expose": {"site": {"nodeIPs": "10.0.0.1"}},
    }


def test_a_password_that_a_spec_writes_in_clear_is_hidden_and_seen_to_change() -> None:
    wanted = {"$edgeAgent": {"password": "new", "env": {"A": {"value": "plain"}}}}
    shown = hide_twins(wanted)
    assert shown == {"$edgeAgent": {"password": HIDDEN, "env": {"A": {"value": HIDDEN}}}}
    assert hide_twins({"$edgeAgent": {"password": "old"}}, wanted, shown) == {"$edgeAgent": {"password": CHANGED}}
    assert hide_twins({"$edgeAgent": {"password": "new"}}, wanted, shown) == {"$edgeAgent": {"password": HIDDEN}}


def test_a_value_that_is_not_shown_still_moves_the_digest() -> None:
    first, other = (
        make_plan(hub_with(SPEC, "s"), spec_of_text(SPEC.replace("PLAIN: written", f"PLAIN: {value}")), {"SECRET": "s"})
        for value in ("one", "two")
    )
    assert first.to_json()["changes"] == other.to_json()["changes"]
    assert first.digest != other.digest


# What an app may be given a secret by: none of these is in the list of what may be shown.
HIDING_PLACES: dict[str, dict[str, Any]] = {
    "a health check with a bearer token": {"Healthcheck": {"Test": ["CMD", "curl", "-H", "Bearer SECRET", "http://x"]}},
    "options of a log driver": {"HostConfig": {"LogConfig": {"Type": "splunk", "Config": {"splunk-token": "SECRET"}}}},
    "options of a mounted volume": {
        "HostConfig": {"Mounts": [{"Type": "volume", "VolumeOptions": {"DriverConfig": {"Options": {"o": "SECRET"}}}}]}
    },
    "a label": {"Labels": {"traefik.http.middlewares.auth.basicauth.users": "SECRET"}},
    "a label by another case": {"labels": {"auth": "SECRET"}},
    "a command as one text": {"Cmd": "serve --key SECRET"},
    "a shell": {"Shell": ["/bin/sh", "SECRET"]},
    "what Docker may add next year": {"HostConfig": {"NewThing": {"Token": "SECRET"}}},
    "a volume of Kubernetes": {
        "k8s-experimental": {"volumes": [{"volume": {"csi": {"volumeAttributes": {"p": "SECRET"}}}}]}
    },
    "a storage option": {"HostConfig": {"StorageOpt": {"size": "SECRET"}}},
    "a kernel setting": {"HostConfig": {"Sysctls": {"x": "SECRET"}}},
    "a temporary file system": {"HostConfig": {"Tmpfs": {"/run": "SECRET"}}},
}


@pytest.mark.parametrize("place", HIDING_PLACES)
def test_a_secret_is_shown_from_no_place_of_create_options(place: str) -> None:
    options = HIDING_PLACES[place]
    assert not leaks(hide_options(options), "SECRET")
    module = {"settings": {"image": "i", "createOptions": json.dumps(options)}}
    for desired in ({"modules": {"m": module}}, {"properties.desired.modules.m": module}):
        shown = hide_twins({"$edgeAgent": desired})
        assert not leaks(shown, "SECRET")
        assert '"image": "i"' in json.dumps(shown)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.just("SECRET"),
        lambda inner: st.dictionaries(st.text(max_size=8), inner, max_size=3) | st.lists(inner, max_size=3),
        max_leaves=8,
    )
)
def test_only_what_is_listed_is_shown(options: Any) -> None:
    assert not leaks(hide_options({"Unheard": options, "HostConfig": {"Unheard": options}}), "SECRET") or (
        "SECRET" in json.dumps(list(keys_of(options)))
    )


def keys_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from keys_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from keys_of(item)


def test_what_helps_to_understand_a_module_is_shown() -> None:
    options = {
        "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"Memory": 1, "Binds": ["/a:/b"], "PortBindings": {"80/tcp": [{"HostPort": "8080"}]}},
        "k8s-experimental": {"serviceOptions": {"type": "LoadBalancer", "loadBalancerIP": "10.0.0.1"}},
    }
    assert hide_options(options) == options


ANNOTATED = SPEC.replace("address: 10.0.0.11", 'annotations: ["example.com/key=%s"], labels: ["team=north"]')


@pytest.mark.parametrize("written", ["${env:SECRET}", "old-token-123"])
def test_a_value_of_an_annotation_is_shown_nowhere_once_it_is_on_the_hub(written: str) -> None:
    hub = hub_with(ANNOTATED % written, "old-token-123")
    made = make_plan(hub, spec_of_text(SPEC), {"SECRET": "old-token-123"})
    assert made.changes
    assert not leaks(made.to_json(), "old-token-123")
    assert not leaks(plan_unexpose(hub, "d1", "out").to_json(), "old-token-123")
    assert not leaks(export_spec(hub, "d1", hide_values=True)[0], "old-token-123")
    assert not leaks(support_bundle(hub, "d1", NOW)["twins"], "old-token-123")


def test_an_annotation_of_a_load_balancer_is_shown_and_a_changed_one_is_seen_to_change() -> None:
    service = {"metadata": {"annotations": {"metallb.io/address-pool": "p", "example.com/a": "one"}}}
    other = {"metadata": {"annotations": {"metallb.io/address-pool": "q", "example.com/a": "two"}}}
    assert hide_pairs(service, other) == {
        "metadata": {"annotations": {"metallb.io/address-pool": "p", "example.com/a": CHANGED}}
    }


def test_of_the_hub_module_only_what_is_known_is_shown() -> None:
    section = {
        "schemaVersion": "1.1",
        "routes": {
            "up": "FROM /* INTO $upstream",
            "low": {"route": "FROM /a INTO $upstream", "priority": 3, "new": "x"},
        },
        "storeAndForwardConfiguration": {"timeToLiveSecs": 7200, "next": "y"},
        "key": "z",
    }
    assert hide_twins({"$edgeHub": section})["$edgeHub"] == {
        "schemaVersion": "1.1",
        "routes": {
            "up": "FROM /* INTO $upstream",
            "low": {"route": "FROM /a INTO $upstream", "priority": 3, "new": HIDDEN},
        },
        "storeAndForwardConfiguration": {"timeToLiveSecs": 7200, "next": HIDDEN},
        "key": HIDDEN,
    }
