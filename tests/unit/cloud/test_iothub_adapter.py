"""The adapter over the real SDK, with HTTP answered by `responses`: outcomes, retries, quoting, and no secrets."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import responses

from edge_expose_cloud.adapters.iothub import Credentials, IotHub, Patience
from edge_expose_cloud.adapters.iothub_errors import from_answer, read_body, scrub
from edge_expose_cloud.hub.api import Deployment, HubError, HubProblem

KEY = base64.b64encode(b"not-a-real-key-0123456789").decode()
HOST = "hub.test"
TEXT = f"HostName={HOST};SharedAccessKeyName=owner;SharedAccessKey={KEY}"
TWIN = f"https://{HOST}/twins/d1/modules/m"
THROTTLED = {"Message": "ErrorCode:ThrottlingException;too busy, wait 10 seconds", "ExceptionMessage": "Tracking ID:x"}


@pytest.fixture
def http() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def hub(pauses: list[float] | None = None, attempts: int = 5) -> IotHub:
    noted = pauses if pauses is not None else []
    return IotHub(
        Credentials(connection_string=TEXT), Patience(attempts=attempts, sleep=noted.append, jitter=lambda: 0.5)
    )


def twin_body(**desired: Any) -> dict[str, Any]:
    return {
        "deviceId": "d1",
        "moduleId": "m",
        "etag": "AAAAAAAAAAE=",
        "configurations": {"c1": {"status": "Applied"}},
        "properties": {"desired": {**desired, "$version": 4, "$metadata": {}}, "reported": {"$version": 2}},
    }


def test_a_twin_comes_without_the_hubs_own_keys(http: responses.RequestsMock) -> None:
    http.get(TWIN, json=twin_body(a=1))
    twin = hub().module_twin("d1", "m")
    assert twin is not None
    assert (twin.desired, twin.desired_version, twin.reported, twin.etag) == ({"a": 1}, 4, {}, "AAAAAAAAAAE=")
    assert twin.configurations == {"c1": {"status": "Applied"}}


def test_a_twin_that_is_not_there_is_none(http: responses.RequestsMock) -> None:
    http.get(
        TWIN,
        status=404,
        json={"Message": "ErrorCode:DeviceNotFound;none"},
        headers={"iothub-errorcode": "DeviceNotFound"},
    )
    assert hub().module_twin("d1", "m") is None


def test_a_patch_carries_the_quoted_etag_and_nulls(http: responses.RequestsMock) -> None:
    http.patch(TWIN, json=twin_body())
    hub().patch_module_twin("d1", "m", {"a": None, "b": 1}, "AAAAAAAAAAE=")
    request = http.calls[0].request
    assert request.headers["If-Match"] == '"AAAAAAAAAAE="'
    assert json.loads(request.body or b"") == {"properties": {"desired": {"a": None, "b": 1}}}


def test_a_deployment_update_carries_the_quoted_etag(http: responses.RequestsMock) -> None:
    http.put(
        f"https://{HOST}/configurations/c1",
        json={"id": "c1", "content": {"modulesContent": {"$edgeAgent": {}}}, "etag": "MQ=="},
    )
    made = hub().update_deployment(Deployment("c1", {"modulesContent": {"$edgeAgent": {}}}, "*", etag="MQ=="))
    assert http.calls[0].request.headers["If-Match"] == '"MQ=="'
    assert made.etag == "MQ=="


def test_throttling_is_waited_out_though_the_hub_names_no_time(http: responses.RequestsMock) -> None:
    for _ in range(2):
        http.patch(TWIN, status=429, json=THROTTLED)
    http.patch(TWIN, json=twin_body())
    pauses: list[float] = []
    hub(pauses).patch_module_twin("d1", "m", {"a": 1}, "E")
    assert pauses == [10.0, 20.0]


def test_throttling_without_end_is_an_outcome(http: responses.RequestsMock) -> None:
    http.patch(TWIN, status=429, json=THROTTLED)
    pauses: list[float] = []
    with pytest.raises(HubError, match="too busy") as raised:
        hub(pauses, attempts=4).patch_module_twin("d1", "m", {"a": 1}, "E")
    assert raised.value.problem is HubProblem.THROTTLED
    assert len(pauses) == 3


def test_a_patch_that_was_done_before_a_server_error_is_recognised(http: responses.RequestsMock) -> None:
    http.patch(TWIN, status=500, json={"Message": "oops"})
    http.patch(TWIN, status=412, json={"Message": "ErrorCode:PreconditionFailed;stale"})
    http.get(TWIN, json=twin_body(a=1))
    assert hub().patch_module_twin("d1", "m", {"a": 1}, "E").desired == {"a": 1}


def test_a_stale_etag_is_never_repeated(http: responses.RequestsMock) -> None:
    http.patch(TWIN, status=412, json={"Message": "ErrorCode:PreconditionFailed;stale"})
    with pytest.raises(HubError) as raised:
        hub().patch_module_twin("d1", "m", {"a": 1}, "E")
    assert raised.value.problem is HubProblem.PRECONDITION
    assert len(http.calls) == 1


def test_a_query_follows_its_pages(http: responses.RequestsMock) -> None:
    url = f"https://{HOST}/devices/query"
    http.post(url, json=[twin_body(a=1)], headers={"x-ms-continuation": "next", "x-ms-item-type": "Twin"})
    http.post(url, json=[twin_body(a=2)], headers={"x-ms-item-type": "Twin"})
    assert [twin.desired["a"] for twin in hub().module_twins("m'x")] == [1, 2]
    assert "m''x" in str(http.calls[0].request.body)
    assert http.calls[1].request.headers["x-ms-continuation"] == "next"


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (400, HubProblem.INVALID),
        (401, HubProblem.UNAUTHORIZED),
        (403, HubProblem.FORBIDDEN),
        (409, HubProblem.CONFLICT),
        (418, HubProblem.UNEXPECTED),
    ],
)
def test_statuses_become_outcomes(http: responses.RequestsMock, status: int, problem: HubProblem) -> None:
    http.post(
        f"https://{HOST}/devices/d1/applyConfigurationContent",
        status=status,
        json={"Message": f"ErrorCode:X{status};why"},
    )
    with pytest.raises(HubError, match="why") as raised:
        hub().apply_content("d1", {"$edgeAgent": {}})
    assert (raised.value.problem, raised.value.code) == (problem, f"X{status}")


def test_set_modules_asks_before_each_try_and_sends_nothing_when_told_not_to(
    http: responses.RequestsMock,
) -> None:
    url = f"https://{HOST}/devices/d1/applyConfigurationContent"
    http.post(url, status=429, json=THROTTLED)
    http.post(url, status=429, json=THROTTLED)
    asked: list[int] = []

    def ready() -> None:
        asked.append(len(http.calls))
        if len(asked) == 3:
            raise InterruptedError("no more")

    with pytest.raises(InterruptedError):
        hub().apply_content("d1", {"$edgeAgent": {}}, ready)
    assert asked == [0, 1, 2]
    assert len(http.calls) == 2


def test_no_error_ever_holds_the_key(http: responses.RequestsMock) -> None:
    http.get(TWIN, status=400, body=f"SharedAccessKey={KEY} SharedAccessSignature sr=x&sig=abc {TEXT}")
    with pytest.raises(HubError) as raised:
        hub().module_twin("d1", "m")
    assert KEY not in str(raised.value)
    assert "sig=abc" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "HostName=a", "nonsense", f"HostName=a;SharedAccessKey={KEY};Colour=red"])
def test_a_connection_string_that_cannot_be_read_is_said_without_repeating_it(text: str) -> None:
    with pytest.raises(HubError) as raised:
        IotHub(Credentials(connection_string=text))
    assert raised.value.problem is HubProblem.INVALID
    assert KEY not in f"{raised.value} {raised.value.hint}"


def test_a_ca_file_that_holds_no_certificate_is_said(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("root:x:0:0\n")
    with pytest.raises(HubError, match="holds no certificate") as raised:
        IotHub(Credentials(connection_string=TEXT, ca_file=str(tmp_path / "passwd")))
    assert "PEM" in raised.value.hint


def test_a_ca_file_that_is_not_there_is_said() -> None:
    with pytest.raises(HubError, match="does not exist") as raised:
        IotHub(Credentials(connection_string=TEXT, ca_file="/nonexistent.pem"))
    assert "EDGE_EXPOSE_HUB_CA" in raised.value.hint


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"Message": "ErrorCode:DeviceNotFound;no such", "ExceptionMessage": "x"}', ("DeviceNotFound", "no such")),
        ('{"errorCode": 404103, "message": "not online", "trackingId": "x"}', ("404103", "not online")),
        (
            '{"Message": "{\\"errorCode\\":404103,\\"message\\":\\"not online\\"}", "ExceptionMessage": ""}',
            ("404103", "not online"),
        ),
        ("<html>", ("", "<html>")),
        ("", ("", "")),
        ("[1]", ("", "[1]")),
    ],
)
def test_the_three_shapes_of_error_bodies(body: str, expected: tuple[str, str]) -> None:
    assert read_body(body) == expected


def test_a_device_that_is_not_online_is_not_a_missing_one() -> None:
    assert from_answer(404, "DeviceNotOnline", "", "x").problem is HubProblem.OFFLINE
    assert from_answer(404, "DeviceNotFound", "", "x").problem is HubProblem.NOT_FOUND
    assert from_answer(503, "", "", "x").is_transient


def test_scrub_leaves_the_rest() -> None:
    assert scrub("a SharedAccessKey=x;b sig=y&se=1") == "a SharedAccessKey=***;b sig=***&se=1"
