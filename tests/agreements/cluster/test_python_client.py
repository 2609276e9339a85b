"""The official Python client, unmodified: typed calls, pages, watches, the dynamic client and server-side apply."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException


@pytest.fixture
def api(cluster) -> client.ApiClient:
    return config.new_client_from_config(str(cluster.kubeconfig))


def config_map(name: str, **data: str) -> dict[str, Any]:
    meta = {"name": name, "labels": {"set": "one"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def test_typed_objects_go_there_and_back(cluster, api) -> None:
    namespace, core, apps = cluster.namespace(), client.CoreV1Api(api), client.AppsV1Api(api)
    port = client.V1ServicePort(name="http", port=80, target_port="web")
    spec = client.V1ServiceSpec(ports=[port], selector={"app": "w"})
    made = core.create_namespaced_service(namespace, client.V1Service(metadata={"name": "s"}, spec=spec))
    assert made.spec.ports[0].target_port == "web"
    assert made.metadata.managed_fields[0].operation == "Update"
    container = client.V1Container(name="c", image="none/none:1")
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels={"app": "w"}), spec=client.V1PodSpec(containers=[container])
    )
    wanted = client.V1DeploymentSpec(replicas=0, selector={"matchLabels": {"app": "w"}}, template=template)
    apps.create_namespaced_deployment(namespace, client.V1Deployment(metadata={"name": "d"}, spec=wanted))
    assert apps.read_namespaced_deployment("d", namespace).spec.strategy.type == "RollingUpdate"
    assert [d.metadata.name for d in apps.list_namespaced_deployment(namespace).items] == ["d"]


def test_pages_and_a_watch_from_them(cluster, api) -> None:
    namespace, core = cluster.namespace(), client.CoreV1Api(api)
    for name in "abc":
        core.create_namespaced_config_map(namespace, config_map(name))
    names: list[str] = []
    page = core.list_namespaced_config_map(namespace, label_selector="set=one", limit=2)
    names += [item.metadata.name for item in page.items]
    core.delete_namespaced_config_map("c", namespace)
    core.create_namespaced_config_map(namespace, config_map("d"))
    more = page.metadata._continue
    rest = core.list_namespaced_config_map(namespace, label_selector="set=one", limit=2, _continue=more)
    names += [item.metadata.name for item in rest.items]
    assert names == ["a", "b", "c"]
    version = rest.metadata.resource_version
    assert version == page.metadata.resource_version
    told = []
    stream = watch.Watch()
    arguments = {"label_selector": "set=one", "resource_version": version, "timeout_seconds": 20}
    for event in stream.stream(core.list_namespaced_config_map, namespace, **arguments):
        told.append((event["type"], event["object"].metadata.name))
        if len(told) == 2:
            stream.stop()
    assert told == [("DELETED", "c"), ("ADDED", "d")]


def test_the_dynamic_client_applies_and_is_told_of_conflicts(cluster, api) -> None:
    namespace = cluster.namespace()
    maps = dynamic.DynamicClient(api).resources.get(api_version="v1", kind="ConfigMap")
    maps.server_side_apply(namespace=namespace, body=config_map("m", a="1"), field_manager="one")
    with pytest.raises(ApiException) as refused:
        maps.server_side_apply(namespace=namespace, body=config_map("m", a="2"), field_manager="two")
    assert refused.value.status == 409
    assert json.loads(refused.value.body)["message"] == ('Apply failed with 1 conflict: conflict with "one": .data.a')
    forced = maps.server_side_apply(
        namespace=namespace, body=config_map("m", a="2"), field_manager="two", force_conflicts=True
    )
    assert forced.data.a == "2"
    assert [entry.manager for entry in forced.metadata.managedFields] == ["one", "two"]


def test_rights_are_reviewed_for_others(cluster, api) -> None:
    namespace = cluster.namespace()
    api.set_default_header("Impersonate-User", f"system:serviceaccount:{namespace}:nobody")
    attributes = client.V1ResourceAttributes(namespace=namespace, verb="list", resource="services")
    spec = client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
    review = client.AuthorizationV1Api(api).create_self_subject_access_review({"spec": spec})
    assert review.status.allowed is False
    with pytest.raises(ApiException) as refused:
        client.CoreV1Api(api).list_namespaced_service(namespace)
    assert refused.value.status == 403
