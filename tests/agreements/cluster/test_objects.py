"""What the API promises about objects: versions, conflicts, patches, refusals and watches."""

from __future__ import annotations

import itertools
import json
import threading
from typing import Any

from support.waiting import eventually

PORTS = [{"name": "a", "port": 80}]


def _service(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": PORTS, **spec}}


def test_a_created_service_has_what_the_cluster_allocates(cluster) -> None:
    ns = cluster.namespace()
    answer = cluster.call("POST", cluster.services(ns), _service("one"))
    assert answer.status == 201
    meta, spec = answer.body["metadata"], answer.body["spec"]
    assert meta["uid"]
    assert int(meta["resourceVersion"]) > 0
    assert spec["type"] == "ClusterIP"
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert spec["ports"] == [{"name": "a", "protocol": "TCP", "port": 80, "targetPort": 80}]
    assert spec["sessionAffinity"] == "None"
    assert ("internalTrafficPolicy" in spec) is (cluster.profile == "1.36")
    assert ("ipFamilies" in spec) is (cluster.profile == "1.36")


def test_a_taken_name_is_refused(cluster) -> None:
    ns = cluster.namespace()
    cluster.call("POST", cluster.services(ns), _service("one"))
    answer = cluster.call("POST", cluster.services(ns), _service("one"))
    assert answer.status == 409
    assert answer.body["reason"] == "AlreadyExists"
    assert answer.body["message"] == 'services "one" already exists'


def test_a_missing_service_and_a_missing_namespace_are_not_found(cluster) -> None:
    ns = cluster.namespace()
    answer = cluster.call("GET", f"{cluster.services(ns)}/none")
    assert (answer.status, answer.body["message"]) == (404, 'services "none" not found')
    assert answer.body["details"] == {"name": "none", "kind": "services"}
    answer = cluster.call("POST", cluster.services("t-none"), _service("one"))
    assert (answer.status, answer.body["message"]) == (404, 'namespaces "t-none" not found')


def test_a_write_with_an_old_version_is_a_conflict(cluster) -> None:
    ns = cluster.namespace()
    path = f"{cluster.services(ns)}/one"
    old = cluster.call("POST", cluster.services(ns), _service("one")).body
    assert cluster.merge(path, {"metadata": {"labels": {"a": "b"}}}).status == 200
    for answer in (
        cluster.call("PUT", path, old),
        cluster.merge(
            path, {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"], "labels": {"a": "c"}}}
        ),
    ):
        assert answer.status == 409
        assert answer.body["reason"] == "Conflict"
        assert answer.body["message"] == (
            'Operation cannot be fulfilled on services "one": the object has been modified; '
            "please apply your changes to the latest version and try again"
        )


def test_a_merge_patch_replaces_lists_and_null_deletes(cluster) -> None:
    ns = cluster.namespace()
    path = f"{cluster.services(ns)}/one"
    cluster.call("POST", cluster.services(ns), {**_service("one", selector={"a": "b", "c": "d"})})
    patch = {"spec": {"selector": {"c": None}, "ports": [{"name": "x", "port": 81}, {"name": "y", "port": 82}]}}
    answer = cluster.merge(path, patch)
    assert answer.status == 200
    assert answer.body["spec"]["selector"] == {"a": "b"}
    assert [p["port"] for p in answer.body["spec"]["ports"]] == [81, 82]


def test_a_strategic_patch_joins_ports_by_number_alone(cluster) -> None:
    ns = cluster.namespace()
    path = f"{cluster.services(ns)}/one"
    cluster.call("POST", cluster.services(ns), _service("one"))
    patch = {"spec": {"ports": [{"port": 80, "targetPort": 8080}, {"name": "b", "port": 81}]}}
    answer = cluster.call("PATCH", path, patch, "application/strategic-merge-patch+json")
    assert answer.status == 200
    found = {p["port"]: (p["name"], p["targetPort"]) for p in answer.body["spec"]["ports"]}
    assert found == {80: ("a", 8080), 81: ("b", 81)}


def test_a_json_patch_is_applied_and_a_failing_test_refuses_it(cluster) -> None:
    ns = cluster.namespace()
    path = f"{cluster.services(ns)}/one"
    cluster.call("POST", cluster.services(ns), _service("one"))
    kind = "application/json-patch+json"
    answer = cluster.call("PATCH", path, [{"op": "replace", "path": "/spec/ports/0/port", "value": 99}], kind)
    assert answer.body["spec"]["ports"][0]["port"] == 99
    answer = cluster.call("PATCH", path, [{"op": "test", "path": "/spec/ports/0/port", "value": 1}], kind)
    assert answer.status == 422


def test_a_write_that_changes_nothing_keeps_the_version(cluster) -> None:
    ns = cluster.namespace()
    path = f"{cluster.services(ns)}/one"
    made = cluster.call("POST", cluster.services(ns), _service("one")).body
    answer = cluster.merge(path, {"spec": {"ports": [{"name": "a", "port": 80, "protocol": "TCP", "targetPort": 80}]}})
    assert answer.body["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_a_dry_run_answers_and_keeps_nothing(cluster) -> None:
    ns = cluster.namespace()
    answer = cluster.call("POST", cluster.services(ns) + "?dryRun=All", _service("one"))
    assert answer.status == 201
    assert cluster.call("GET", f"{cluster.services(ns)}/one").status == 404


def test_a_generated_name_starts_with_what_was_asked(cluster) -> None:
    ns = cluster.namespace()
    body = {"metadata": {"generateName": "gen-"}, "spec": {"ports": PORTS}}
    names = {cluster.call("POST", cluster.services(ns), body).body["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("gen-") and len(name) > 4 for name in names)


def test_delete_answers_as_this_version_does(cluster) -> None:
    ns = cluster.namespace()
    cluster.call("POST", cluster.services(ns), _service("one"))
    answer = cluster.call("DELETE", f"{cluster.services(ns)}/one")
    assert answer.status == 200
    assert answer.body["kind"] == ("Service" if cluster.profile == "1.36" else "Status")


def test_a_put_of_a_missing_service(cluster) -> None:
    ns = cluster.namespace()
    answer = cluster.call("PUT", f"{cluster.services(ns)}/one", _service("one"))
    assert answer.status == (201 if cluster.profile == "1.36" else 404)


def test_a_wrong_uid_is_refused(cluster) -> None:
    ns = cluster.namespace()
    made = cluster.call("POST", cluster.services(ns), _service("one")).body
    made["metadata"]["uid"] = "11111111-2222-3333-4444-555555555555"
    answer = cluster.call("PUT", f"{cluster.services(ns)}/one", made)
    assert answer.status == (409 if cluster.profile == "1.36" else 422)


def test_a_delete_with_an_unmet_precondition_is_a_conflict(cluster) -> None:
    ns = cluster.namespace()
    cluster.call("POST", cluster.services(ns), _service("one"))
    body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "no"}}
    answer = cluster.call("DELETE", f"{cluster.services(ns)}/one", body)
    assert (answer.status, answer.body["reason"]) == (409, "Conflict")


def test_finalizers_hold_an_object_until_they_are_gone(cluster) -> None:
    ns = cluster.namespace()
    path = f"{cluster.services(ns)}/one"
    body = _service("one")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    cluster.call("POST", cluster.services(ns), body)
    cluster.call("DELETE", path)
    assert cluster.call("GET", path).body["metadata"]["deletionTimestamp"]
    cluster.merge(path, {"metadata": {"finalizers": None}})
    assert cluster.call("GET", path).status == 404


def test_status_is_written_only_through_its_subresource(cluster) -> None:
    ns = cluster.namespace()
    path = f"{cluster.services(ns)}/one"
    cluster.call("POST", cluster.services(ns), _service("one"))
    cluster.merge(path, {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}})
    assert not cluster.call("GET", path).body["status"]["loadBalancer"].get("ingress")
    answer = cluster.merge(f"{path}/status", {"spec": {"type": "NodePort"}, "metadata": {"annotations": {"a": "b"}}})
    assert answer.status == 200
    now = cluster.call("GET", path).body
    assert now["spec"]["type"] == "ClusterIP"
    assert now["metadata"]["annotations"] == {"a": "b"}


def test_lists_are_selected_and_paged(cluster) -> None:
    ns = cluster.namespace()
    for i in range(4):
        body = _service(f"s{i}", type="NodePort" if i == 3 else "ClusterIP")
        body["metadata"]["labels"] = {"n": str(i), "even": str(i % 2 == 0).lower()}
        assert cluster.call("POST", cluster.services(ns), body).status == 201

    def names(query: str) -> list[str]:
        found = cluster.call("GET", cluster.services(ns) + query)
        assert found.status == 200, found
        return [item["metadata"]["name"] for item in found.body["items"]]

    assert names("?labelSelector=even%3Dtrue") == ["s0", "s2"]
    assert names("?labelSelector=n%20in%20(1,3)") == ["s1", "s3"]
    assert names("?labelSelector=!n") == []
    assert names("?labelSelector=n!%3D0") == ["s1", "s2", "s3"]
    assert names("?fieldSelector=metadata.name%3Ds2") == ["s2"]
    first = cluster.call("GET", cluster.services(ns) + "?limit=3").body
    assert len(first["items"]) == 3
    assert first["metadata"]["remainingItemCount"] == 1
    assert names(f"?limit=3&continue={first['metadata']['continue']}") == ["s3"]


def test_an_unsupported_field_selector_is_refused(cluster) -> None:
    answer = cluster.call("GET", "/api/v1/services?fieldSelector=spec.colour%3Dred")
    assert answer.status == 400
    text = "field label not supported: spec.colour"
    if cluster.profile == "1.20":
        text = '"spec.colour" is not a known field selector: only "metadata.name", "metadata.namespace"'
    assert answer.body["message"] == text


def test_a_watch_tells_what_happened_since_a_version(cluster) -> None:
    ns = cluster.namespace()
    path = cluster.services(ns)
    start = cluster.call("GET", path).body["metadata"]["resourceVersion"]
    cluster.call("POST", path, _service("one"))
    cluster.merge(f"{path}/one", {"metadata": {"labels": {"a": "b"}}})
    cluster.call("DELETE", f"{path}/one")
    events = cluster.watch_until(f"{path}?watch=1&resourceVersion={start}", 3)
    assert [e["type"] for e in events] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in events]
    assert versions == sorted(set(versions))


def test_an_object_that_leaves_the_selector_is_deleted_for_the_watcher(cluster) -> None:
    ns = cluster.namespace()
    path = cluster.services(ns)
    start = cluster.call("GET", path).body["metadata"]["resourceVersion"]
    body = _service("one")
    body["metadata"]["labels"] = {"a": "b"}
    cluster.call("POST", path, body)
    cluster.merge(f"{path}/one", {"metadata": {"labels": {"a": "c"}}})
    events = cluster.watch_until(f"{path}?watch=1&resourceVersion={start}&labelSelector=a%3Db", 2)
    assert [e["type"] for e in events] == ["ADDED", "DELETED"]


def test_a_watch_without_a_version_begins_with_what_is_there(cluster) -> None:
    ns = cluster.namespace()
    cluster.call("POST", cluster.services(ns), _service("one"))

    path, turns = cluster.services(ns), itertools.count()

    def first() -> dict[str, Any]:
        # 1.36 waits until its cache of Services is as new as etcd, and answers 504 after three seconds. Of other writes
        # (the account of a new namespace) an old etcd does not tell it, but of a write of a Service it does.
        cluster.merge(f"{path}/one", {"metadata": {"labels": {"turn": str(next(turns))}}})
        (event,) = cluster.watch_until(f"{path}?watch=1", 1)
        asks_again = event["type"] == "ERROR" and event["object"]["code"] == 504
        return {} if asks_again else dict(event)

    event = eventually(first, what="the watch begins")
    assert (event["type"], event["object"]["metadata"].get("name")) == ("ADDED", "one"), event


def test_a_watch_from_long_ago_is_answered_with_gone(cluster) -> None:
    # The history of a real server outlives what a test can write, but not a restart.
    cluster.restart()
    events = cluster.watch_until("/api/v1/services?watch=1&resourceVersion=1", 1)
    assert [e["type"] for e in events] == ["ERROR"]
    assert (events[0]["object"]["code"], events[0]["object"]["reason"]) == (410, "Expired")
    assert events[0]["object"]["message"].startswith("too old resource version: 1 (")


def test_a_bookmark_carries_a_version_when_asked_for(cluster) -> None:
    ns = cluster.namespace()
    path = cluster.services(ns)
    start = cluster.call("GET", path).body["metadata"]["resourceVersion"]
    over = threading.Event()

    def write() -> None:  # a real server sends none in a watch that short unless something happens meanwhile
        for number in itertools.count():
            cluster.call("POST", path, _service(f"s{number}"))
            if over.wait(0.3):
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        events = cluster.watch(f"{path}?watch=1&resourceVersion={start}&timeoutSeconds=6&allowWatchBookmarks=true")
    finally:
        over.set()
        writer.join()
    marks = [e["object"] for e in events if e["type"] == "BOOKMARK"]
    assert marks
    assert marks[-1]["kind"] == "Service"
    assert int(marks[-1]["metadata"]["resourceVersion"]) > int(start)


def test_a_namespace_is_emptied_and_removed(cluster) -> None:
    ns = cluster.namespace()
    cluster.call("POST", cluster.services(ns), _service("one"))
    assert cluster.call("DELETE", f"/api/v1/namespaces/{ns}").status == 200
    eventually(lambda: cluster.call("GET", f"/api/v1/namespaces/{ns}").status == 404, 30, "namespace gone")
    assert cluster.call("GET", f"{cluster.services(ns)}/one").status == 404


def test_objects_and_versions_survive_a_kill(cluster) -> None:
    ns = cluster.namespace()
    made = cluster.call("POST", cluster.services(ns), _service("one")).body
    cluster.restart()
    kept = cluster.call("GET", f"{cluster.services(ns)}/one").body
    assert json.dumps(kept, sort_keys=True) == json.dumps(made, sort_keys=True)
    later = cluster.merge(f"{cluster.services(ns)}/one", {"metadata": {"labels": {"a": "b"}}}).body
    assert int(later["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


def test_the_service_of_the_api_is_there_and_comes_back(cluster) -> None:
    path = f"{cluster.services('default')}/kubernetes"
    found = cluster.call("GET", path).body
    assert found["metadata"]["labels"] == {"component": "apiserver", "provider": "kubernetes"}
    assert found["spec"]["type"] == "ClusterIP"
    assert found["spec"]["clusterIP"].endswith(".1")
    port = found["spec"]["ports"][0]
    assert (port["name"], port["protocol"], port["port"]) == ("https", "TCP", 443)
    if not cluster.real:  # nobody deletes that of a real one, which takes its time to make it again
        assert cluster.call("DELETE", path).status == 200
        eventually(lambda: cluster.call("GET", path).status == 200, what="it comes back")
        again = cluster.call("GET", path).body
        assert again["spec"]["clusterIP"] == found["spec"]["clusterIP"]
        assert again["metadata"]["uid"] != found["metadata"]["uid"]
