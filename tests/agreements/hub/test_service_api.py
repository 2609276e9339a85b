"""The service API by plain HTTP: exact status codes, error names and bodies, as measured on the service."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import requests

from support.hub import Call, RunningHub, caller

AGENT = {"$edgeAgent": {"properties.desired": {"schemaVersion": "1.1", "modules": {"web": {}}}}}


def code(response: requests.Response) -> tuple[int, str | None]:
    return response.status_code, response.headers.get("iothub-errorcode")


def test_device_put_creates_only_and_if_match_updates_only(call: Call, device: str) -> None:
    path = f"/devices/{device}-x"
    body = {"deviceId": f"{device}-x", "authentication": {"type": "sas", "symmetricKey": {}}}
    made = call("PUT", path, body)
    assert made.status_code == 200
    keys = made.json()["authentication"]["symmetricKey"]
    assert len(base64.b64decode(keys["primaryKey"])) == 32
    assert code(call("PUT", path, body)) == (409, "DeviceAlreadyExists")
    assert code(call("PUT", f"/devices/{device}-y", {"deviceId": f"{device}-y"}, If_Match='"*"')) == (
        404,
        "DeviceNotFound",
    )
    assert code(call("PUT", path, body, If_Match='"c3RhbGU="')) == (412, "PreconditionFailed")
    updated = call("PUT", path, {**body, "status": "disabled"}, If_Match=made.json()["etag"])
    assert (updated.status_code, updated.json()["status"]) == (200, "disabled")
    assert updated.json()["authentication"]["symmetricKey"] != keys
    assert code(call("GET", f"{path}/modules/m")) == (401, "IotHubUnauthorizedAccess")
    assert call("GET", f"/twins/{device}-x").status_code == 200
    assert code(call("DELETE", path)) == (412, "PreconditionFailed")
    assert call("DELETE", path, If_Match='"*"').status_code == 204
    assert code(call("GET", path)) == (404, "DeviceNotFound")


def test_edge_device_has_system_modules_and_a_scope(call: Call, device: str) -> None:
    found = call("GET", f"/devices/{device}").json()
    assert found["deviceScope"].startswith(f"ms-azure-iot-edge://{device}-")
    assert [item["moduleId"] for item in call("GET", f"/devices/{device}/modules").json()] == ["$edgeAgent", "$edgeHub"]
    assert code(call("PUT", f"/devices/{device}/modules/$own", {"moduleId": "$own"})) == (400, "ArgumentInvalid")
    assert call("GET", f"/twins/{device}/modules/%24edgeAgent").status_code == 200


def test_module_identity_codes(call: Call, device: str) -> None:
    path = f"/devices/{device}/modules/m"
    assert call("PUT", path, {"deviceId": device, "moduleId": "m"}).status_code == 201
    conflict = call("PUT", path, {"deviceId": device, "moduleId": "m"})
    assert code(conflict) == (409, "ModuleAlreadyExistsOnDevice")
    assert conflict.json()["errorCode"] == 409301
    assert code(call("GET", f"/devices/{device}/modules/none")) == (404, "ModuleNotFound")
    assert code(call("GET", f"/twins/{device}/modules/none")) == (404, "DeviceNotFound")
    assert code(call("GET", "/devices/nobody/modules")) == (401, "IotHubUnauthorizedAccess")


@pytest.mark.parametrize(
    ("create", "delete"), [("create", "delete"), ("Create", "Delete"), ("CREATEORUPDATE", "Delete")]
)
def test_bulk_modes_in_any_case_as_the_sdks_write_them(call: Call, device: str, create: str, delete: str) -> None:
    entry = {"id": f"{device}-bulk", "status": "enabled"}
    made = call("POST", "/devices", [{**entry, "importMode": create}])
    assert (made.status_code, made.json()["isSuccessful"]) == (200, True)
    assert call("GET", f"/devices/{device}-bulk").status_code == 200
    assert call("POST", "/devices", [{**entry, "importMode": delete}]).status_code == 200
    assert call("GET", f"/devices/{device}-bulk").status_code == 404
    wrong = call("POST", "/devices", [{**entry, "importMode": "vanish"}])
    assert (wrong.status_code, wrong.json()["errors"][0]["errorCode"]) == (400, "ArgumentInvalid")


def test_ids_may_come_percent_encoded(call: Call, device: str) -> None:
    odd = f"{device}#1"
    assert call("PUT", f"/devices/{device}%231", {"deviceId": odd}).status_code == 200
    assert call("GET", f"/twins/{device}%231").json()["deviceId"] == odd


def test_twin_etags(call: Call, device: str) -> None:
    path = f"/twins/{device}"
    first = call("GET", path)
    assert first.headers["ETag"] == f'"{first.json()["etag"]}"'
    patched = call("PATCH", path, {"tags": {"a": 1}}, If_Match=f'"{first.json()["etag"]}"')
    assert patched.status_code == 200
    assert code(call("PATCH", path, {"tags": {"a": 2}}, If_Match=f'"{first.json()["etag"]}"')) == (
        412,
        "PreconditionFailed",
    )
    assert (
        call("PATCH", path, {"properties": {"desired": {"x": {"y": 1, "z": 2}}}}).json()["properties"]["desired"][
            "$version"
        ]
        == 2
    )
    replaced = call("PUT", path, {"properties": {"desired": {"x": {"z": 2}, "$version": 99}}}, If_Match="*").json()
    assert (replaced["properties"]["desired"]["x"], replaced["tags"]) == ({"z": 2}, {})
    assert replaced["properties"]["desired"]["$version"] == 3


@pytest.mark.parametrize(
    "patch",
    [
        {"properties": {"desired": {"a.b": 1}}},
        {"properties": {"desired": {"a": [None]}}},
        {"properties": {"desired": {"a": "x" * 4097}}},
        {"properties": {"desired": {f"k{i}": "x" * 4000 for i in range(9)}}},
        {"tags": {f"k{i}": "x" * 4000 for i in range(3)}},
        {"tags": []},
    ],
    ids=[
        "a dotted key",
        "null in an array",
        "a long string",
        "desired above 32 KB",
        "tags above 8 KB",
        "tags as a list",
    ],
)
def test_twin_limits_are_400_and_change_nothing(call: Call, device: str, patch: dict[str, Any]) -> None:
    before = call("GET", f"/twins/{device}").json()
    assert code(call("PATCH", f"/twins/{device}", patch)) == (400, "ArgumentInvalid")
    assert call("GET", f"/twins/{device}").json() == before


def test_configuration_codes(call: Call, device: str) -> None:
    path = f"/configurations/{device}"
    body = {
        "id": device,
        "content": {"modulesContent": AGENT},
        "targetCondition": f"deviceId = '{device}'",
        "priority": 3,
    }
    made = call("PUT", path, body)
    assert made.status_code == 201
    document = made.json()
    wanted = "id schemaVersion labels content targetCondition priority createdTimeUtc lastUpdatedTimeUtc etag"
    assert {*wanted.split(), "metrics", "systemMetrics"} == set(document)
    assert document["labels"] == {}
    assert document["metrics"] == {"queries": {}, "results": {}}
    assert document["systemMetrics"]["results"]["appliedCount"] == 1
    assert code(call("PUT", path, body)) == (409, "ConfigurationAlreadyExists")
    assert code(call("PUT", path, body, If_Match=document["etag"])) == (409, "ConfigurationAlreadyExists")
    assert code(call("PUT", path, body, If_Match='"c3RhbGU="')) == (412, "PreconditionFailed")
    assert code(call("PUT", path, {"id": device, "priority": 4}, If_Match='"*"')) == (
        400,
        "InvalidConfigurationContent",
    )
    other = {**body, "content": {"modulesContent": {"$edgeAgent": {}}}, "priority": 4}
    updated = call("PUT", path, other, If_Match=f'"{document["etag"]}"')
    assert (updated.status_code, updated.json()["priority"]) == (200, 4)
    assert updated.json()["content"] == {"modulesContent": AGENT}
    assert call("DELETE", path, If_Match="*").status_code == 204
    assert code(call("GET", path)) == (404, "ConfigurationNotFound")
    assert call("GET", "/configurations?top=20").json() == []


def test_test_queries_answers_200_with_the_problems(call: Call) -> None:
    body = {"targetCondition": "*", "customMetricQueries": {"good": "SELECT * FROM devices", "bad": "SELECT"}}
    answer = call("POST", "/configurations/testQueries", body)
    assert answer.status_code == 200
    assert answer.json()["targetConditionError"]
    assert list(answer.json()["customMetricQueryErrors"]) == ["bad"]


def test_apply_codes(call: Call, device: str) -> None:
    assert call("POST", f"/devices/{device}/applyConfigurationContent", {"modulesContent": AGENT}).status_code == 204
    assert [item["moduleId"] for item in call("GET", f"/devices/{device}/modules").json()] == [
        "$edgeAgent",
        "$edgeHub",
        "web",
    ]
    call("PUT", f"/devices/{device}-leaf", {"deviceId": f"{device}-leaf"})
    refused = call("POST", f"/devices/{device}-leaf/applyConfigurationContent", {"modulesContent": AGENT})
    assert refused.status_code == 400
    assert "Not an Azure IoT Edge device" in refused.json()["Message"]
    large = {"m": {"properties.desired": {f"k{i}": "x" * 4000 for i in range(9)}}}
    assert call("POST", f"/devices/{device}/applyConfigurationContent", {"modulesContent": large}).status_code == 400


def test_method_errors_have_the_nested_envelope(call: Call, device: str) -> None:
    path = f"/twins/{device}/modules/%24edgeAgent/methods"
    offline = call("POST", path, {"methodName": "ping", "responseTimeoutInSeconds": 5})
    assert code(offline) == (404, "DeviceNotOnline")
    assert json.loads(offline.json()["Message"])["errorCode"] == 404103
    wrong = {"methodName": "ping", "responseTimeoutInSeconds": 5, "connectTimeoutInSeconds": 6}
    for body in (wrong, {**wrong, "responseTimeoutInSeconds": 3}, {**wrong, "methodName": ""}):
        answer = call("POST", path, body)
        assert code(answer) == (400, "ArgumentInvalid")
        assert json.loads(answer.json()["Message"])["errorCode"] == 400004


@pytest.mark.parametrize("key", ["$a", "a$", "a.b", "a#b", "a b", "$versions"])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_keys_that_a_twin_cannot_have_are_refused_at_the_top_too(
    call: Call, device: str, method: str, key: str
) -> None:
    before = call("GET", f"/twins/{device}").json()
    for body in ({"properties": {"desired": {key: 1}}}, {"tags": {key: 1}}, {"tags": {"$version": 1}}):
        answer = call(method, f"/twins/{device}", body, If_Match="*")
        assert code(answer) == (400, "ArgumentInvalid")
    assert call("GET", f"/twins/{device}").json() == before


def test_a_twin_that_was_read_may_be_sent_back_as_it_came(call: Call, device: str) -> None:
    twin = call("PATCH", f"/twins/{device}", {"properties": {"desired": {"a": 1}}, "tags": {"b": 2}}).json()
    assert {"$metadata", "$version"} <= set(twin["properties"]["desired"])
    again = call("PUT", f"/twins/{device}", twin, If_Match="*")
    assert again.status_code == 200
    assert again.json()["properties"]["desired"]["a"] == 1


def test_query_pages_until_no_continuation_is_sent(hub: RunningHub, call: Call, device: str) -> None:
    hub.control("POST", "/devices", {"ids": [f"{device}-{number}" for number in range(7)]})
    text = {"query": f"select * from devices where capabilities.iotEdge = true and startswith(deviceId, '{device}')"}
    found: list[str] = []
    token = ""
    for _ in range(4):
        page = call(
            "POST", "/devices/query", text, x_ms_max_item_count="3", **({"x_ms_continuation": token} if token else {})
        )
        assert page.headers["x-ms-item-type"] == "Twin"
        found += [row["deviceId"] for row in page.json()]
        token = page.headers.get("x-ms-continuation", "")
        if not token:
            break
    assert found == [device, *(f"{device}-{number}" for number in range(7))]
    refused = call("POST", "/devices/query", {"query": "SELECT * FROM devices ORDER BY deviceId"})
    assert refused.status_code == 400
    assert refused.json()["Message"] == "ErrorCode:ArgumentInvalid;BadRequest"  # as bare as the service's
    assert "ORDER" in refused.json()["ExceptionMessage"]


@pytest.mark.parametrize("version", ["2018-06-30", "2020-05-31-preview", "2021-04-12", "2024-03-31"])
def test_api_versions_of_other_clients_are_taken(call: Call, version: str) -> None:
    assert call("GET", "/devices/?top=2", version=version).status_code == 200


@pytest.mark.parametrize("version", ["", "1999-01-01", "latest", "2021-13-41"])
def test_other_api_versions_are_refused(call: Call, version: str) -> None:
    assert call("GET", "/devices", version=version).status_code == 400


def test_unknown_paths_and_methods(call: Call, device: str) -> None:
    assert call("GET", "/nowhere").status_code == 404
    assert call("PATCH", f"/devices/{device}").status_code == 405


@pytest.mark.parametrize(
    ("method", "path", "word"),
    [
        ("POST", "/jobs/create", "import and export jobs"),
        ("DELETE", "/jobs/some-job", "import and export jobs"),
        ("GET", "/messages/serviceBound/feedback", "cloud-to-device"),
        ("DELETE", "/devices/d/commands", "cloud-to-device"),
        ("POST", "/devices/d/messages/events", "MQTT"),
        ("POST", "/devices/d/files", "file upload"),
        ("GET", "/digitaltwins/d", "digital twins"),
        ("POST", "/digitaltwins/d/components/c/commands/x", "digital twins"),
        ("POST", "/devices/d/modules/$edgeHub/devicesAndModulesInDeviceScope", "nested edgeHubs"),
        ("POST", "/twins/d/streams/s", "device streams"),
    ],
)
def test_what_a_real_hub_has_and_this_one_does_not_is_501_and_says_so(
    call: Call, method: str, path: str, word: str
) -> None:
    answer = call(method, path)
    assert code(answer) == (501, "NotImplemented")
    assert word in answer.json()["Message"]


def test_error_texts_are_the_ones_that_were_seen(call: Call, device: str) -> None:
    """Each was quoted in an issue or in the measurements that the README names; our explanation stands beside it."""
    in_condition = {"id": f"{device}-in", "content": {"modulesContent": AGENT}, "targetCondition": "deviceId IN ['a']"}
    seen = {
        "ErrorCode:DeviceNotFound;nobody": call("GET", "/devices/nobody"),
        f"ErrorCode:DeviceAlreadyExists;A device with ID '{device}' is already registered.": call(
            "PUT", f"/devices/{device}", {"deviceId": device}
        ),
        "ErrorCode:PreconditionFailed;PreconditionFailed, ETag may be invalid.": call(
            "PATCH", f"/twins/{device}", {"tags": {}}, If_Match='"c3RhbGU="'
        ),
        "ErrorCode:IotHubUnauthorizedAccess;Unauthorized": call("GET", "/devices/nobody/modules"),
        "ErrorCode:InvalidConfigurationTargetCondition;BadRequest": call(
            "PUT", f"/configurations/{device}-in", in_condition
        ),
        "ErrorCode:InvalidConfigurationTargetCondition;Invalid targetCondition. It must be a filter condition based on"
        " 'deviceId', 'tags', or 'properties.reported'. It contains: edge": call(
            "PUT", f"/configurations/{device}-in", {**in_condition, "targetCondition": "deviceId = edge"}
        ),
    }
    for text, answer in seen.items():
        assert answer.json()["Message"] == text
        assert answer.json()["ExceptionMessage"].startswith("Tracking ID:")
    assert "IN and NIN" in seen["ErrorCode:InvalidConfigurationTargetCondition;BadRequest"].json()["ExceptionMessage"]


def test_children_of_an_edge_device_are_found_as_az_looks_for_them(call: Call, device: str) -> None:
    scope = call("GET", f"/devices/{device}").json()["deviceScope"]
    edge = {"deviceId": f"{device}-e", "capabilities": {"iotEdge": True}, "parentScopes": [scope]}
    call("PUT", f"/devices/{device}-e", edge)
    call("PUT", f"/devices/{device}-l", {"deviceId": f"{device}-l", "deviceScope": scope})
    text = f"select deviceId from devices where array_contains(parentScopes, '{scope}')"
    assert call("POST", "/devices/query", {"query": text}).json() == [
        {"deviceId": f"{device}-e"},
        {"deviceId": f"{device}-l"},
    ]
    child = call("GET", f"/devices/{device}-l").json()
    assert (child["deviceScope"], child["parentScopes"]) == (scope, [scope])
    lost = call("PUT", f"/devices/{device}-l", {**child, "deviceScope": ""}, If_Match=f'"{child["etag"]}"').json()
    assert "parentScopes" not in lost


def test_groups_and_system_metrics_by_query(call: Call, device: str) -> None:
    for name, site in (("a", "n"), ("b", "n"), ("c", "s")):
        call("PUT", f"/devices/{device}-{name}", {"deviceId": f"{device}-{name}"})
        call("PATCH", f"/twins/{device}-{name}", {"tags": {"group": device, "site": site}})
    text = f"SELECT tags.site AS site, COUNT() AS n FROM devices WHERE tags.group = '{device}' GROUP BY tags.site"
    answer = call("POST", "/devices/query", {"query": text})
    assert answer.headers["x-ms-item-type"] == "Raw"
    assert answer.json() == [{"site": "n", "n": 2}, {"site": "s", "n": 1}]
    assert call("POST", "/devices/query", {"query": "SELECT nonsense FROM devices"}).status_code == 400
    body = {"id": device, "content": {"modulesContent": AGENT}, "targetCondition": f"deviceId = '{device}'"}
    made = call("PUT", f"/configurations/{device}", {**body, "metrics": {"queries": {"bare": "select *"}}}).json()
    queries = made["systemMetrics"]["queries"]
    assert sorted(queries) == ["appliedCount", "reportedFailedCount", "reportedSuccessfulCount", "targetedCount"]
    assert made["metrics"] == {"queries": {"bare": "select *"}, "results": {}}
    for name in ("appliedCount", "reportedSuccessfulCount", "reportedFailedCount"):
        rows = call("POST", "/devices/query", {"query": queries[name]}).json()
        assert len(rows) == made["systemMetrics"]["results"][name], name
    call("PUT", f"/configurations/{device}-2", {**body, "id": f"{device}-2"})
    assert [item["id"] for item in call("GET", "/configurations?top=1").json()] == [device, f"{device}-2"]
    for name in (device, f"{device}-2"):
        call("DELETE", f"/configurations/{name}", If_Match="*")


def test_policies_have_different_rights(hub: RunningHub, device: str) -> None:
    texts = hub.control("GET", "/policies")
    assert sorted(texts) == ["device", "iothubowner", "registryRead", "registryReadWrite", "service"]
    assert texts["iothubowner"] == hub.connection_string
    keys = {name: text.partition(";SharedAccessKey=")[2] for name, text in texts.items()}
    assert len(set(keys.values())) == len(keys)
    may = {name: caller(hub, name, key) for name, key in keys.items()}
    assert may["registryReadWrite"]("GET", f"/devices/{device}").status_code == 200
    assert code(may["registryReadWrite"]("GET", f"/twins/{device}")) == (401, "IotHubUnauthorizedAccess")
    assert may["service"]("GET", f"/twins/{device}").status_code == 200
    assert may["service"]("GET", f"/devices/{device}").status_code == 401
    assert may["registryRead"]("GET", f"/devices/{device}").status_code == 200
    assert code(may["registryRead"]("PUT", f"/devices/{device}-z", {})) == (401, "IotHubUnauthorizedAccess")
    assert code(may["device"]("GET", f"/devices/{device}")) == (401, "IotHubUnauthorizedAccess")
    assert code(may["device"]("GET", f"/twins/{device}")) == (401, "IotHubUnauthorizedAccess")
    assert caller(hub, "nobody", keys["service"])("GET", "/devices").status_code == 401
    assert caller(hub, "iothubowner", keys["service"])("GET", "/devices").status_code == 401


def test_no_token_is_401_in_the_named_shape(hub: RunningHub) -> None:
    answer = requests.get(
        f"https://127.0.0.1:{hub.ports['https']}/devices?api-version=2021-04-12", verify=str(hub.ca), timeout=10
    )
    assert code(answer) == (401, "IotHubUnauthorizedAccess")
    assert answer.json()["Message"].startswith("ErrorCode:IotHubUnauthorizedAccess;")
    assert answer.json()["ExceptionMessage"].startswith("Tracking ID:")


def test_injected_statuses_count_down_and_fit_the_path(hub: RunningHub, call: Call, device: str) -> None:
    hub.fault("http-status", status=429, count=2, path="/twins/", method="get", retry_after=3)
    assert call("GET", f"/devices/{device}").status_code == 200
    throttled = call("GET", f"/twins/{device}")
    assert (code(throttled), throttled.headers["Retry-After"]) == ((429, "ThrottlingException"), "3")
    assert [call("GET", f"/twins/{device}").status_code for _ in range(2)] == [429, 200]
    hub.fault("http-status", status=500, after_apply=True)
    assert call("PATCH", f"/twins/{device}", {"tags": {"applied": True}}).status_code == 500
    assert call("GET", f"/twins/{device}").json()["tags"] == {"applied": True}
    hub.fault("http-empty")
    assert (call("GET", f"/twins/{device}").content) == b""


def test_quotas_of_an_s1_hub_when_enforced(hub: RunningHub, call: Call) -> None:
    hub.fault("throttle")
    answers = [call("POST", "/devices/query", {"query": "SELECT * FROM devices"}) for _ in range(21)]
    assert code(answers[-1]) == (429, "ThrottlingException")
    assert "Retry-After" not in answers[-1].headers
    assert hub.control("GET", "/counters")["total"]["Query"] >= 21


def test_unknown_fault_and_option_are_explained(hub: RunningHub) -> None:
    assert "drop-connections" in hub.control("POST", "/fault", {"name": "nonsense"}, expect=400)["error"]
    assert "colour" in hub.control("POST", "/fault", {"name": "connack", "colour": 1}, expect=400)["error"]
    assert "connack" in hub.control("GET", "/faults")["known"]
