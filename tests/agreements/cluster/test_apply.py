"""Server-side apply: owners of fields, conflicts that name them, force, and what is dropped when nobody owns it."""

from __future__ import annotations

from typing import Any

import pytest

APPLY = "application/apply-patch+yaml"
PORT = 'k:{"port":80,"protocol":"TCP"}'
Owners = dict[tuple[str, str], dict[str, Any]]


def port(number: int, **more: Any) -> dict[str, Any]:
    return {"name": f"p{number}", "port": number, "protocol": "TCP", **more}


class Applied:
    """One Service that several managers apply to."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.path = f"{cluster.services(cluster.namespace())}/s"

    def apply(self, manager: str, force: bool = False, path: str = "", meta: Any = None, **spec: Any) -> Any:
        body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", **(meta or {})}, "spec": spec}
        query = f"fieldManager={manager}" + ("&force=true" if force else "")
        return self.cluster.call("PATCH", f"{path or self.path}?{query}", body, APPLY)

    def owned(self) -> Owners:
        entries = self.cluster.call("GET", self.path).body["metadata"].get("managedFields") or []
        return {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in entries}


@pytest.fixture
def service(cluster) -> Applied:
    return Applied(cluster)


def selector(cluster: Any, *keys: str) -> dict[str, Any]:
    """What the owner of a selector owns: 1.36 has it as a whole."""
    return {} if cluster.profile == "1.36" else {f"f:{key}": {} for key in keys}


def test_it_is_made_and_owned_and_applying_it_again_changes_nothing(cluster, service) -> None:
    made = service.apply("one", ports=[port(80)], selector={"x": "y"})
    assert made.status == 201
    entry = made.body["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("one", "Apply", "v1")
    assert entry["fieldsV1"] == {
        "f:spec": {
            "f:ports": {PORT: {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}}},
            "f:selector": selector(cluster, "x"),
        }
    }
    again = service.apply("one", ports=[port(80)], selector={"x": "y"})
    assert (again.status, again.body["metadata"]) == (200, made.body["metadata"])


def test_a_conflict_names_the_manager_and_the_fields(cluster, service) -> None:
    labels = {"a": "1", "b": "1"}
    made = service.apply("one", meta={"labels": labels}, ports=[port(80)], externalIPs=["1.1.1.1"])
    assert made.status == 201, made
    answer = service.apply("two", meta={"labels": {"a": "2"}}, ports=[port(80)])
    assert (answer.status, answer.body.get("reason")) == (409, "Conflict"), answer
    assert answer.body["message"] == 'Apply failed with 1 conflict: conflict with "one": .metadata.labels.a'
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".metadata.labels.a"}
    assert answer.body["details"]["causes"] == [cause]
    other = {**port(80), "name": "z"}
    answer = service.apply("two", meta={"labels": {"a": "2", "b": "2"}}, ports=[other], externalIPs=["1.1.1.2"])
    assert answer.body["message"] == (
        'Apply failed with 4 conflicts: conflicts with "one":\n- .metadata.labels.a\n- .metadata.labels.b\n'
        '- .spec.externalIPs\n- .spec.ports[port=80,protocol="TCP"].name'
    )
    cluster.merge(f"{service.path}?fieldManager=hand", {"metadata": {"labels": {"a": "3"}}})
    answer = service.apply("two", meta={"labels": {"a": "2", "b": "2"}}, ports=[port(80)])
    assert answer.body["message"] == (
        'Apply failed with 2 conflicts: conflicts with "hand" using v1:\n- .metadata.labels.a\n'
        'conflicts with "one":\n- .metadata.labels.b'
    )


def test_the_same_value_is_shared_and_another_item_is_added(cluster, service) -> None:
    service.apply("one", ports=[port(80)], selector={"x": "y"})
    joined = service.apply("two", ports=[port(81)], selector={"x": "y"})
    assert [p["port"] for p in joined.body["spec"]["ports"]] == [80, 81]
    owned = service.owned()
    assert owned["one", "Apply"]["f:spec"]["f:selector"] == owned["two", "Apply"]["f:spec"]["f:selector"]
    assert list(owned["two", "Apply"]["f:spec"]["f:ports"]) == ['k:{"port":81,"protocol":"TCP"}']


def test_force_takes_the_fields_over(cluster, service) -> None:
    service.apply("one", ports=[port(80)], selector={"x": "y"})
    forced = service.apply(
        "two", True, ports=[port(80, targetPort=8080)], selector={"x": "z"}, sessionAffinity="ClientIP"
    )
    assert forced.status == 200
    assert forced.body["spec"]["selector"] == {"x": "z"}
    owned = service.owned()
    assert "f:selector" not in owned["one", "Apply"]["f:spec"]
    assert owned["one", "Apply"]["f:spec"]["f:ports"][PORT] == {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}}
    assert "f:targetPort" in owned["two", "Apply"]["f:spec"]["f:ports"][PORT]


def test_what_an_owner_does_not_apply_any_more_is_gone_unless_others_own_it(cluster, service) -> None:
    service.apply("one", ports=[port(80)])
    more = {"labels": {"a": "1", "b": "2"}, "finalizers": ["acme.com/x"]}
    both = [port(80, targetPort=8080), port(81)]
    service.apply("two", True, meta=more, ports=both, selector={"x": "z"}, sessionAffinity="ClientIP")
    left = service.apply("two", meta={"labels": {"a": "1"}}, ports=[port(81)]).body
    assert left["metadata"]["labels"] == {"a": "1"}
    assert "finalizers" not in left["metadata"]
    assert "selector" not in left["spec"]
    assert left["spec"]["sessionAffinity"] == "None"
    assert [(p["port"], p["targetPort"]) for p in left["spec"]["ports"]] == [(80, 80), (81, 81)]
    gone = service.apply("two", meta={"labels": {"a": "1"}}).body
    assert [p["port"] for p in gone["spec"]["ports"]] == [80]


def test_other_writes_own_what_they_change_and_lose_what_others_change(cluster, service) -> None:
    service.apply("one", meta={"labels": {"a": "1"}}, ports=[port(80)])
    patch = {
        "metadata": {"labels": {"a": "2"}, "annotations": {"n": "1"}},
        "spec": {"ports": [{"name": "q", "port": 80}]},
    }
    kind = "application/strategic-merge-patch+json"
    assert cluster.call("PATCH", f"{service.path}?fieldManager=hand", patch, kind).status == 200
    owned = service.owned()
    assert owned["hand", "Update"] == {
        "f:metadata": {"f:annotations": {".": {}, "f:n": {}}, "f:labels": {"f:a": {}}},
        "f:spec": {"f:ports": {PORT: {"f:name": {}}}},
    }
    assert owned["one", "Apply"] == {"f:spec": {"f:ports": {PORT: {".": {}, "f:port": {}, "f:protocol": {}}}}}
    cluster.merge(f"{service.path}?fieldManager=last", {"metadata": {"annotations": {"n": None}}})
    assert service.owned()["hand", "Update"]["f:metadata"].get("f:annotations", {}) in ({}, {".": {}})


def test_whoever_makes_an_object_owns_it_by_its_program_or_its_name(cluster) -> None:
    path = f"/api/v1/namespaces/{cluster.namespace()}/configmaps"
    meta = {"finalizers": ["acme.com/x"], "annotations": {"q": "r"}}
    body = {"metadata": {"name": "c", **meta}, "data": {"a.b": "1"}}
    made = cluster.call("POST", path, body, more={"User-Agent": "Acme (x)/1.0 y"}).body["metadata"]["managedFields"]
    assert [(entry["manager"], entry["operation"]) for entry in made] == [("Acme (x)", "Update")]
    assert made[0]["fieldsV1"] == {
        "f:data": {".": {}, "f:a.b": {}},
        "f:metadata": {
            "f:annotations": {".": {}, "f:q": {}},
            "f:finalizers": {".": {}, 'v:"acme.com/x"': {}},
        },
    }
    named = cluster.call("POST", f"{path}?fieldManager=me", {"metadata": {"name": "d"}, "data": {"a": "1"}}).body
    assert [entry["manager"] for entry in named["metadata"]["managedFields"]] == ["me"]
    cluster.merge(f"{path}/c", {"metadata": {"finalizers": None}})


def test_the_defaults_of_a_new_service_are_its_makers(cluster) -> None:
    path = cluster.services(cluster.namespace())
    made = cluster.call(
        "POST", f"{path}?fieldManager=me", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    )
    new = {"f:internalTrafficPolicy": {}} if cluster.profile == "1.36" else {}
    assert made.body["metadata"]["managedFields"][0]["fieldsV1"] == {
        "f:spec": {
            **new,
            "f:ports": {".": {}, PORT: {".": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {}}},
            "f:sessionAffinity": {},
            "f:type": {},
        }
    }


def test_the_status_is_owned_by_itself(cluster, service) -> None:
    service.apply("one", ports=[port(80)])
    stamp = "2026-01-01T00:00:00Z"
    condition = {"type": "A", "status": "True", "reason": "r", "message": "", "lastTransitionTime": stamp}
    patched = cluster.merge(f"{service.path}/status?fieldManager=lb", {"status": {"conditions": [condition]}})
    entry = next(e for e in patched.body["metadata"]["managedFields"] if e["manager"] == "lb")
    assert entry.get("subresource") == ("status" if cluster.profile == "1.36" else None)
    assert list(entry["fieldsV1"]) == ["f:status"]
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "status": {"conditions": [{**condition, "status": "False"}]},
    }
    answer = cluster.call("PATCH", f"{service.path}/status?fieldManager=other", body, APPLY)
    through = ' with subresource "status"' if cluster.profile == "1.36" else ""
    assert answer.body["message"] == (
        f'Apply failed with 1 conflict: conflict with "lb"{through} using v1: .status.conditions[type="A"].status'
    )
    forced = cluster.call("PATCH", f"{service.path}/status?fieldManager=other&force=true", body, APPLY)
    assert forced.body["status"]["conditions"][0]["status"] == "False"


def test_the_first_apply_to_what_nobody_owned_keeps_its_fields(cluster, service) -> None:
    path = service.path.removesuffix("/s")
    cluster.call("POST", path, {"metadata": {"name": "s", "labels": {"k": "v"}}, "spec": {"ports": [port(90)]}})
    shown = cluster.call("GET", service.path).body
    shown["metadata"]["managedFields"] = []
    assert cluster.call("PUT", service.path, shown).status == 200
    assert service.owned() == {}
    service.apply("one", True, ports=[port(80)])
    owned = service.owned()
    assert set(owned) == {("one", "Apply"), ("before-first-apply", "Update")}
    assert owned["before-first-apply", "Update"]["f:metadata"] == {"f:labels": {".": {}, "f:k": {}}}
    assert [p["port"] for p in cluster.call("GET", service.path).body["spec"]["ports"]] == [90, 80]


def test_a_dry_run_keeps_nothing(cluster, service) -> None:
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [port(80)]}}
    assert cluster.call("PATCH", f"{service.path}?fieldManager=x&dryRun=All", body, APPLY).status == 201
    assert cluster.call("GET", service.path).status == 404


OPTIONS = 'PatchOptions.meta.k8s.io "" is invalid: '


@pytest.mark.parametrize(
    ("query", "more", "code", "new", "old"),
    [
        ("", {}, 422, OPTIONS + "fieldManager: Required value: is required for apply patch", None),
        (
            "fieldManager=" + "x" * 129,
            {},
            422,
            OPTIONS + "fieldManager: Too long: may not be more than 128 bytes",
            OPTIONS + "fieldManager: Too long: must have at most 128 bytes",
        ),
        (
            "fieldManager=x",
            {"kind": None, "apiVersion": None},
            400,
            "invalid object type: /, Kind=",
            "Incorrect version specified in apply patch. Specified patch version: , expected: v1",
        ),
        (
            "fieldManager=x",
            {"metadata": {"name": "t"}},
            400,
            "the name of the object (t) does not match the name on the URL (s)",
            None,
        ),
        (
            "fieldManager=x",
            {"metadata": {"name": "s", "managedFields": [{"manager": "x"}]}},
            400,
            "metadata.managedFields must be nil",
            None,
        ),
        (
            "fieldManager=x",
            {"spec": {"foo": 1}},
            500,
            "failed to create typed patch object (/s; /v1, Kind=Service): .spec.foo: field not declared in schema",
            "failed to create typed patch object: .spec.foo: field not declared in schema",
        ),
        (
            "fieldManager=x",
            {"spec": {"ports": [port(80), port(80)]}},
            500,
            "failed to create typed patch object (/s; /v1, Kind=Service): "
            '.spec.ports: duplicate entries for key [port=80,protocol="TCP"]',
            'failed to create typed patch object: .spec.ports: duplicate entries for key [port=80,protocol="TCP"]',
        ),
    ],
)
def test_what_cannot_be_applied_is_refused(cluster, service, query, more, code, new, old) -> None:
    service.apply("one", ports=[port(80)])
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, **more}
    body = {key: value for key, value in body.items() if value is not None}
    answer = cluster.call("PATCH", f"{service.path}?{query}", body, APPLY)
    wanted = new if cluster.profile == "1.36" or old is None else old
    assert (answer.status, answer.body["message"]) == (code, wanted)


def test_force_and_other_forms_are_for_apply_alone(cluster, service) -> None:
    service.apply("one", ports=[port(80)])
    answer = cluster.merge(f"{service.path}?force=true", {"metadata": {}})
    assert answer.body["message"] == OPTIONS + "force: Forbidden: may not be specified for non-apply patch"
    answer = cluster.call("PATCH", service.path, {"metadata": {}}, "application/json")
    assert (answer.status, answer.body["message"]) == (415, "415: Unsupported Media Type")
    answer = cluster.call("PATCH", f"{service.path}?fieldManager=x", b"a: [", APPLY)
    assert answer.body["message"].startswith("error decoding YAML: error converting YAML to JSON: yaml: line 1: ")


def test_a_pod_is_owned_by_containers_and_ports(cluster) -> None:
    path = f"/api/v1/namespaces/{cluster.namespace()}/pods/p"
    env = [{"name": "A", "value": "1"}]
    container = {
        "name": "c",
        "image": "none/none:1",
        "env": env,
        "ports": [{"containerPort": 80}],
        "resources": {"limits": {"cpu": "1"}},
    }
    spec = {"containers": [container], "nodeSelector": {"a": "b"}, "nodeName": "elsewhere"}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    answer = cluster.call("PATCH", f"{path}?fieldManager=m", body, APPLY)
    assert answer.status == 201
    assert answer.body["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"] == {
        "f:containers": {
            'k:{"name":"c"}': {
                ".": {},
                "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
                "f:image": {},
                "f:name": {},
                "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
                "f:resources": {"f:limits": {"f:cpu": {}}},
            }
        },
        "f:nodeName": {},
        "f:nodeSelector": selector(cluster, "a"),
    }


def test_an_object_whose_items_are_alike_is_refused_by_its_own_rules(cluster) -> None:
    path = cluster.services(cluster.namespace())
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 80}]
    answer = cluster.call("POST", path, {"metadata": {"name": "s"}, "spec": {"ports": ports}})
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")
    good = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    assert cluster.call("POST", path, {"metadata": {"name": "s"}, "spec": {"ports": good}}).status == 201
    answer = cluster.merge(f"{path}/s", {"spec": {"ports": ports}})
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")
