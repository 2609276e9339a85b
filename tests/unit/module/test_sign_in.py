"""How the module signs in: what the edge runtime says, or a connection string that needs no gateway and no CA."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge_expose_module.adapters.sign_in import SignIn, read_sign_in
from edge_expose_module.settings import BadSettings

KEY = "c2VjcmV0LXNlY3JldA=="
TEXT = f"HostName=h.azure-devices.net;DeviceId=d;ModuleId=edge-expose;SharedAccessKey={KEY}"


def test_a_connection_string_alone_is_enough() -> None:
    found = read_sign_in({"EdgeHubConnectionString": TEXT})
    assert found == SignIn("h.azure-devices.net", "d", "edge-expose", TEXT)

    async def go() -> None:
        client = found.new_client(3600, 2)
        assert not client.connected
        await client.shutdown()

    asyncio.run(go())


def test_a_ca_is_taken_as_it_is_when_a_client_is_made(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("one")
    found = read_sign_in({"EdgeHubConnectionString": TEXT, "EdgeModuleCACertificateFile": str(ca)})
    assert found.ca == ca
    ca.unlink()
    with pytest.raises(FileNotFoundError):
        found.new_client(3600, 2)


def test_the_edge_runtime_comes_first() -> None:
    runtime = {"IOTEDGE_IOTHUBHOSTNAME": "h", "IOTEDGE_DEVICEID": "d", "IOTEDGE_MODULEID": "m"}
    assert read_sign_in({**runtime, "EdgeHubConnectionString": TEXT}) == SignIn("h", "d", "m")


@pytest.mark.parametrize(
    ("environment", "problems"),
    [
        ({}, ["IOTEDGE_IOTHUBHOSTNAME and IOTEDGE_DEVICEID not set, and no EdgeHubConnectionString"]),
        ({"IOTEDGE_IOTHUBHOSTNAME": "h"}, ["IOTEDGE_DEVICEID not set"]),
        ({"EdgeHubConnectionString": TEXT.replace("ModuleId=edge-expose;", "")}, ["has no ModuleId; take the"]),
        ({"EdgeHubConnectionString": KEY}, ["no HostName", "no DeviceId", "no ModuleId", "no SharedAccessKey"]),
        ({"EdgeHubConnectionString": TEXT, "EdgeModuleCACertificateFile": "/no/such"}, ["/no/such: this file cannot"]),
    ],
)
def test_what_is_missing_is_told_and_no_key_with_it(environment: dict[str, str], problems: list[str]) -> None:
    with pytest.raises(BadSettings) as raised:
        read_sign_in(environment)
    assert len(raised.value.problems) == len(problems)
    assert all(told in problem for told, problem in zip(problems, raised.value.problems, strict=True))
    assert KEY not in str(raised.value)
