"""Doors for devices beside the port of MQTT with a SAS token: WebSocket, X.509, old user names. By the real SDK."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.iot.device import X509, IoTHubDeviceClient, IoTHubModuleClient
from azure.iot.device.exceptions import CredentialError
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties
from cryptography.hazmat.primitives import hashes

from edge_expose_local.hub.hub import Hub
from edge_expose_local.mqtt import codec
from edge_expose_local.mqtt.client import ConnectRefusedError, MqttClient
from support.certificates import Certified, certify
from support.hub import Call, RunningHub, sas_token
from support.waiting import PATIENCE, eventually

HOST = "localhub.test"


@pytest.fixture(autouse=True)
def through_the_mapper(hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("mqtt_proxy", f"http://127.0.0.1:{hub.ports['proxy']}")
    monkeypatch.setenv("no_proxy", "")


@contextmanager
def connected(client: Any) -> Iterator[Any]:
    try:
        client.connect()
        yield client
    finally:
        client.shutdown()


def leaf(call: Call, name: str, authentication: dict[str, Any]) -> str:
    assert call("PUT", f"/devices/{name}", {"deviceId": name, "authentication": authentication}).status_code == 200
    return name


def whole_life(client: Any, registry: IoTHubRegistryManager, device: str) -> None:
    seen: list[Any] = []
    client.get_twin()
    client.on_twin_desired_properties_patch_received = seen.append
    client.patch_twin_reported_properties({"here": True})
    registry.update_twin(device, Twin(properties=TwinProperties(desired={"large": ["x" * 4000] * 7})))
    eventually(lambda: seen)
    assert len(seen[0]["large"]) == 7
    twin = registry.get_twin(device)
    assert twin.properties.reported["here"] is True
    assert twin.connection_state == "Connected"
    client.send_message("y" * 100_000)


def test_a_device_over_websocket(
    hub: RunningHub, call: Call, registry: IoTHubRegistryManager, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = leaf(call, f"{device}-ws", {})
    client = IoTHubDeviceClient.create_from_connection_string(
        hub.device_connection_string(name), server_verification_cert=hub.ca.read_text(), websockets=True
    )
    with connected(client):
        whole_life(client, registry, name)
        message = eventually(lambda: hub.control("GET", f"/telemetry?device={name}"))[0]
        assert len(message["payload"]) == 100_000


def test_a_module_over_websocket_comes_back_after_a_drop(
    hub: RunningHub, registry: IoTHubRegistryManager, device: str
) -> None:
    registry.create_module_with_sas(device, "m", "", None, None)
    text = hub.control("GET", f"/device-connection-string?device={device}&module=m")["connectionString"]
    client = IoTHubModuleClient.create_from_connection_string(
        text, server_verification_cert=hub.ca.read_text(), websockets=True, connection_retry_interval=1
    )
    states: list[bool] = []
    client.on_connection_state_change = lambda: states.append(client.connected)
    with connected(client):
        client.get_twin()
        assert hub.fault("drop-connections", device=device) == {"dropped": 1}
        eventually(lambda: states[-2:] == [False, True])
        assert client.get_twin()["desired"] == {"$version": 1}


KINDS = {"SHA-1": hashes.SHA1(), "SHA-256": hashes.SHA256()}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("slot", ["primaryThumbprint", "secondaryThumbprint"])
def test_a_self_signed_certificate_signs_in_by_its_thumbprint(
    hub: RunningHub,
    call: Call,
    registry: IoTHubRegistryManager,
    device: str,
    tmp_path: Path,
    kind: hashes.HashAlgorithm,
    slot: str,
) -> None:
    own = certify("any name")
    prints = {slot: own.thumbprint(kind)}
    name = leaf(call, f"{device}-x", {"type": "selfSigned", "x509Thumbprint": prints})
    with connected(x509_client(hub, name, own, tmp_path)) as client:
        whole_life(client, registry, name)
    twin = call("GET", f"/twins/{name}").json()
    assert twin["authenticationType"] == "selfSigned"
    assert twin["x509Thumbprint"][slot[0].upper() + slot[1:]] == own.thumbprint(kind)


def test_a_certificate_is_not_asked_for_over_websocket_and_the_log_says_so(
    hub: RunningHub, call: Call, device: str, tmp_path: Path
) -> None:
    own = certify("any name")
    prints = {"primaryThumbprint": own.thumbprint()}
    name = leaf(call, f"{device}-x", {"type": "selfSigned", "x509Thumbprint": prints})
    certificate, key = own.write(tmp_path)
    client = IoTHubDeviceClient.create_from_x509_certificate(
        X509(certificate, key), HOST, name, server_verification_cert=hub.ca.read_text(), websockets=True
    )
    with pytest.raises(CredentialError), connected(client):
        pass
    why = (
        f"refused {name}: neither a token nor a certificate was shown; over WebSocket this hub asks for no certificate"
    )
    assert why in (hub.state.parent / "hub.log").read_text()


def x509_client(hub: RunningHub, name: str, own: Certified, folder: Path, *more: Certified) -> IoTHubDeviceClient:
    certificate, key = own.write(folder, *more)
    return IoTHubDeviceClient.create_from_x509_certificate(
        X509(certificate, key), HOST, name, server_verification_cert=hub.ca.read_text()
    )


def test_a_module_signs_in_by_its_thumbprint(hub: RunningHub, call: Call, device: str, tmp_path: Path) -> None:
    own = certify("m")
    authentication = {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": own.thumbprint().upper()}}
    body = {"deviceId": device, "moduleId": "m", "authentication": authentication}
    assert call("PUT", f"/devices/{device}/modules/m", body).status_code == 201
    certificate, key = own.write(tmp_path)
    client = IoTHubModuleClient.create_from_x509_certificate(
        X509(certificate, key), HOST, device, "m", server_verification_cert=hub.ca.read_text()
    )
    with connected(client):
        assert client.get_twin()["desired"] == {"$version": 1}


def test_a_certificate_of_an_authority_signs_in_the_device_it_names(
    hub: RunningHub, call: Call, registry: IoTHubRegistryManager, device: str, tmp_path: Path
) -> None:
    root = certify("root", authority=True)
    between = certify("between", root, authority=True)
    name = leaf(call, f"{device}-ca", {"type": "certificateAuthority"})
    own = certify(name, between)
    with pytest.raises(CredentialError), connected(x509_client(hub, name, own, tmp_path, between)):
        pass
    hub.control("POST", "/certificates", {"name": "root", "certificate": root.pem})
    with connected(x509_client(hub, name, own, tmp_path, between)) as client:
        whole_life(client, registry, name)
    hub.kill()
    hub.restart()
    with connected(x509_client(hub, name, own, tmp_path, between)):
        pass
    for stranger in (certify("another", between), certify(name, certify("between", authority=True))):
        with pytest.raises(CredentialError), connected(x509_client(hub, name, stranger, tmp_path, between)):
            pass
    hub.control("DELETE", "/certificates?name=root")
    with pytest.raises(CredentialError), connected(x509_client(hub, name, own, tmp_path, between)):
        pass


def test_refused_certificates(hub: RunningHub, call: Call, device: str, tmp_path: Path) -> None:
    own, other = certify("own"), certify("other")
    prints = {"primaryThumbprint": own.thumbprint()}
    signed = leaf(call, f"{device}-x", {"type": "selfSigned", "x509Thumbprint": prints})
    with_key = leaf(call, f"{device}-sas", {})
    for name, shown in ((signed, other), (with_key, own), (f"{device}-nobody", own)):
        with pytest.raises(CredentialError), connected(x509_client(hub, name, shown, tmp_path)):
            pass
    key = call("GET", f"/devices/{with_key}").json()["authentication"]["symmetricKey"]["primaryKey"]
    refused = MqttClient(
        codec.Connect(signed, f"{HOST}/{signed}/?api-version=2021-04-12", sas_token(f"{HOST}/devices/{signed}", key)),
        lambda topic, payload: None,
    )
    with pytest.raises(ConnectRefusedError):
        asyncio.run(refused.connect("127.0.0.1", hub.ports["mqtt"], tls(hub)))
    wrong = hub.control("POST", "/certificates", {"name": "leaf", "certificate": own.pem}, expect=400)
    assert "authority" in wrong["error"]
    assert "no PEM" in hub.control("POST", "/certificates", {"name": "x", "certificate": "x"}, expect=400)["error"]


def tls(hub: RunningHub) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(hub.ca))


@pytest.mark.parametrize("tail", ["", "/", "/?", "/?DeviceClientType=x", "/?api-version=2021-04-12"])
def test_user_names_may_leave_the_api_version_out(hub: RunningHub, call: Call, device: str, tail: str) -> None:
    name = leaf(call, f"{device}-user", {})
    key = call("GET", f"/devices/{name}").json()["authentication"]["symmetricKey"]["primaryKey"]

    async def work() -> None:
        connect = codec.Connect(name, f"{HOST}/{name}{tail}", sas_token(f"{HOST}/devices/{name}", key))
        client = MqttClient(connect, lambda topic, payload: None)
        await client.connect("127.0.0.1", hub.ports["mqtt"], tls(hub))
        assert await client.subscribe(["$iothub/twin/res/#"]) == [1]
        await client.disconnect()

    asyncio.run(work())


HEAD = [
    "GET /$iothub/websocket?iothub-no-client-cert=true HTTP/1.1",
    "Host: localhub.test",
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    f"Sec-WebSocket-Key: {base64.b64encode(b'k' * 16).decode()}",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Protocol: MQTT",
]


class Raw:
    """A WebSocket client of the test's own, to say what no SDK says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, hub: RunningHub, head: list[str]) -> tuple[Raw, bytes]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", hub.ports["https"], ssl=tls(hub), server_hostname=HOST
        )
        writer.write("\r\n".join([*head, "", ""]).encode())
        return cls(reader, writer), await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)

    def frame(self, opcode: int, data: bytes, final: bool = True, mask: bool = True) -> None:
        key = os.urandom(4)
        body = bytes(byte ^ key[index % 4] for index, byte in enumerate(data)) if mask else data
        assert len(data) < 65536
        size = (
            bytes([0x80 * mask | len(data)])
            if len(data) < 126
            else bytes([0x80 * mask | 126]) + struct.pack("!H", len(data))
        )
        self.writer.write(bytes([0x80 * final | opcode]) + size + (key if mask else b"") + body)

    async def answer(self) -> tuple[int, bytes]:
        first, size = await asyncio.wait_for(self.reader.readexactly(2), PATIENCE)
        return first & 0x0F, await self.reader.readexactly(size)


def test_frames_may_be_split_pinged_and_closed(hub: RunningHub, call: Call, device: str) -> None:
    name = leaf(call, f"{device}-raw", {})
    key = call("GET", f"/devices/{name}").json()["authentication"]["symmetricKey"]["primaryKey"]
    packet = codec.encode(codec.Connect(name, f"{HOST}/{name}/", sas_token(f"{HOST}/devices/{name}", key)))

    async def work() -> None:
        raw, head = await Raw.open(hub, HEAD)
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-protocol: mqtt" in head.lower()
        raw.frame(2, packet[:10], final=False)
        raw.frame(9, b"are you there")
        raw.frame(0, b"", final=False)
        raw.frame(0, packet[10:])
        assert await raw.answer() == (10, b"are you there")
        assert await raw.answer() == (2, codec.encode(codec.ConnAck(0)))
        raw.frame(8, struct.pack("!H", 1000))
        assert await raw.answer() == (8, struct.pack("!H", 1000))
        assert await asyncio.wait_for(raw.reader.read(), PATIENCE) == b""
        raw.writer.close()

    asyncio.run(work())
    eventually(lambda: call("GET", f"/twins/{name}").json()["connectionState"] == "Disconnected")


@pytest.mark.parametrize("opcode", [1, 3, 2], ids=["text", "an opcode that is not known", "without a mask"])
def test_bad_frames_end_the_connection_and_nothing_else(hub: RunningHub, call: Call, opcode: int) -> None:
    async def work() -> None:
        raw, _ = await Raw.open(hub, HEAD)
        raw.frame(opcode, b"x", mask=opcode != 2)
        assert await asyncio.wait_for(raw.reader.read(), PATIENCE) == b""
        raw.writer.close()

    asyncio.run(work())
    assert call("GET", "/devices").status_code == 200
    assert "Traceback" not in (hub.state.parent / "hub.log").read_text()


@pytest.mark.parametrize("gone", [2, 3, 4, 5, 6], ids=[HEAD[index].partition(":")[0] for index in range(2, 7)])
def test_a_handshake_without_one_of_its_headers_is_refused(hub: RunningHub, gone: int) -> None:
    async def work() -> None:
        raw, head = await Raw.open(hub, [line for index, line in enumerate(HEAD) if index != gone])
        assert head.startswith(b"HTTP/1.1 400 ")
        raw.writer.close()

    asyncio.run(work())


def test_the_default_port_is_left_out_of_host_names(tmp_path: Path) -> None:
    hub = Hub.open(tmp_path, "127.0.0.9")
    hub.ports.https = 443
    assert hub.connection_string().startswith("HostName=127.0.0.9;")
    hub.ports.https = 8443
    assert hub.connection_string().startswith("HostName=127.0.0.9:8443;")
    assert {hub.own_resource(text) for text in ("127.0.0.9", "127.0.0.9:443", "127.0.0.9:8443")} == {""}
    hub.store.close()
