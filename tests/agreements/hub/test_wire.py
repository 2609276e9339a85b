"""The hub's sockets under rough handling: garbage, wrong tokens, foreign topics, killing; who may use which door."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import requests

from edge_expose_local.mqtt import codec
from edge_expose_local.mqtt.client import ConnectRefusedError, MqttClient, MqttError
from support.hub import Call, RunningHub, caller, child_environment, sas_token, start_hub
from support.waiting import PATIENCE
from support.waiting import eventually as settled

RESOURCE = "localhub.test/devices/{device}/modules/{module}"
TWIN_REPLIES = "$iothub/twin/res/#"


def key_of(call: Call, device: str, module: str) -> str:
    answer = call("GET", f"/devices/{device}/modules/{module}").json()
    return str(answer["authentication"]["symmetricKey"]["primaryKey"])


def client_for(
    device: str, module: str, key: str, inbox: list[tuple[str, bytes]], seconds: int = 3600, token_module: str = ""
) -> MqttClient:
    resource = RESOURCE.format(device=device, module=token_module or module)
    user = f"localhub.test/{device}/{module}/?api-version=2021-04-12"
    connect = codec.Connect(f"{device}/{module}", user, sas_token(resource, key, seconds=seconds))
    return MqttClient(connect, lambda topic, payload: inbox.append((topic, payload)), timeout=PATIENCE)


def tls(hub: RunningHub) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(hub.ca))


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


def test_wrong_tokens_are_refused_and_evict_nobody(hub: RunningHub, call: Call, device: str) -> None:
    agent, edge_hub = key_of(call, device, "$edgeAgent"), key_of(call, device, "$edgeHub")

    async def work() -> None:
        good = client_for(device, "$edgeAgent", agent, [])
        assert await good.connect("127.0.0.1", hub.ports["mqtt"], tls(hub)) is False
        bad = {
            "another module's key": client_for(device, "$edgeAgent", edge_hub, []),
            "another module's resource": client_for(device, "$edgeAgent", agent, [], token_module="$edgeHub"),
            "an expired token": client_for(device, "$edgeAgent", agent, [], seconds=-1),
            "an unknown device": client_for("nobody", "$edgeAgent", agent, []),
        }
        for name, client in bad.items():
            with pytest.raises(ConnectRefusedError) as caught:
                await client.connect("127.0.0.1", hub.ports["mqtt"], tls(hub))
            assert caught.value.code == 5, name
        assert good.connected
        second = client_for(device, "$edgeAgent", agent, [])
        assert await second.connect("127.0.0.1", hub.ports["mqtt"], tls(hub)) is True
        await asyncio.wait_for(good.closed(), PATIENCE)
        await second.disconnect()

    run(work())


def test_topics_are_isolated(hub: RunningHub, call: Call, device: str) -> None:
    key = key_of(call, device, "$edgeAgent")

    async def work() -> None:
        inbox: list[tuple[str, bytes]] = []
        client = client_for(device, "$edgeAgent", key, inbox)
        await client.connect("127.0.0.1", hub.ports["mqtt"], tls(hub))
        filters = ["#", "$iothub/#", f"devices/{device}/modules/$edgeHub/inputs/#", TWIN_REPLIES]
        assert await client.subscribe(filters) == [0x80, 0x80, 0x80, 1]
        await client.publish("$iothub/twin/GET/?$rid=7", b" ")
        await eventually(lambda: len(inbox) == 1)
        assert inbox[0][0] == "$iothub/twin/res/200/?$rid=7"
        await client.publish(f"devices/{device}/modules/$edgeHub/messages/events/", b"x", qos=0)
        await asyncio.wait_for(client.closed(), PATIENCE)

    run(work())


def test_twin_reply_needs_a_subscription_unless_the_hub_is_lax(hub: RunningHub, call: Call, device: str) -> None:
    key = key_of(call, device, "$edgeAgent")

    async def work() -> None:
        inbox: list[tuple[str, bytes]] = []
        client = client_for(device, "$edgeAgent", key, inbox)
        await client.connect("127.0.0.1", hub.ports["mqtt"], tls(hub))
        await client.publish("$iothub/twin/GET/?$rid=1", b"")
        await client.publish(f"devices/{device}/modules/$edgeAgent/messages/events/", b"after it")
        assert inbox == []
        hub.control("POST", "/settings", {"twin-replies": "lax"})
        await client.publish("$iothub/twin/GET/?$rid=2", b"")
        await eventually(lambda: bool(inbox))
        assert [topic for topic, _ in inbox] == ["$iothub/twin/res/200/?$rid=2"]
        hub.control("POST", "/settings", {"twin-replies": "strict"})
        await client.disconnect()

    run(work())


def test_reported_patch_that_breaks_a_rule_is_answered_400(hub: RunningHub, call: Call, device: str) -> None:
    key = key_of(call, device, "$edgeAgent")

    async def work() -> None:
        inbox: list[tuple[str, bytes]] = []
        client = client_for(device, "$edgeAgent", key, inbox)
        await client.connect("127.0.0.1", hub.ports["mqtt"], tls(hub))
        await client.subscribe([TWIN_REPLIES])
        for number, body in enumerate((b'{"a.b": 1}', b"[1]", b"no json", b"[" * 100_000, b'{"a": 1}')):
            await client.publish(f"$iothub/twin/PATCH/properties/reported/?$rid={number}", body)
        await eventually(lambda: len(inbox) == 5)
        assert [topic.split("/")[3] for topic, _ in inbox] == ["400", "400", "400", "400", "204"]
        assert inbox[-1][0].endswith("?$rid=4&$version=2")
        await client.disconnect()

    run(work())


def test_link_ends_with_its_token_and_with_its_identity(hub: RunningHub, call: Call, device: str) -> None:
    key = key_of(call, device, "$edgeAgent")

    async def work() -> None:
        short = client_for(device, "$edgeHub", key_of(call, device, "$edgeHub"), [], seconds=2)
        await short.connect("127.0.0.1", hub.ports["mqtt"], tls(hub))
        await asyncio.wait_for(short.closed(), PATIENCE)
        client = client_for(device, "$edgeAgent", key, [])
        await client.connect("127.0.0.1", hub.ports["mqtt"], tls(hub))
        call("DELETE", f"/devices/{device}", If_Match="*")
        await asyncio.wait_for(client.closed(), PATIENCE)

    run(work())


def test_connection_faults(hub: RunningHub, call: Call, device: str) -> None:
    key = key_of(call, device, "$edgeAgent")

    async def work() -> None:
        hub.fault("connack", code=3, device=device)
        hub.fault("refuse-connections")
        with pytest.raises(MqttError):
            await client_for(device, "$edgeAgent", key, []).connect("127.0.0.1", hub.ports["mqtt"], tls(hub))
        with pytest.raises(ConnectRefusedError) as caught:
            await client_for(device, "$edgeAgent", key, []).connect("127.0.0.1", hub.ports["mqtt"], tls(hub))
        assert caught.value.code == 3
        client = client_for(device, "$edgeAgent", key, [])
        await client.connect("127.0.0.1", hub.ports["mqtt"], tls(hub))
        hub.fault("suback-refuse", device=device)
        assert await client.subscribe([TWIN_REPLIES]) == [0x80]
        assert hub.fault("drop-connections", device=device) == {"dropped": 1}
        await asyncio.wait_for(client.closed(), PATIENCE)
        hub.fault("forget-sessions", device=device)
        again = client_for(device, "$edgeAgent", key, [])
        assert await again.connect("127.0.0.1", hub.ports["mqtt"], tls(hub)) is False
        hub.fault("drop-every", seconds=0.2)
        await asyncio.wait_for(again.closed(), PATIENCE)

    run(work())


def test_module_calls_methods_of_its_own_device_only(hub: RunningHub, call: Call, device: str) -> None:
    key = key_of(call, device, "$edgeAgent")
    token = sas_token(RESOURCE.format(device=device, module="$edgeAgent"), key)
    session = requests.Session()
    session.trust_env = False
    session.verify = str(hub.ca)
    hub.control("POST", "/devices", {"ids": [f"{device}-other"]})

    def answer(target: str, caller_id: str) -> int:
        url = f"https://127.0.0.1:{hub.ports['https']}/twins/{target}/modules/%24edgeHub/methods?api-version=2019-10-01"
        headers = {"Authorization": token, "x-ms-edge-moduleId": caller_id}
        return session.post(url, json={"methodName": "x"}, headers=headers, timeout=PATIENCE).status_code

    assert answer(device, f"{device}/$edgeAgent") == 404  # allowed, but nobody is online
    assert answer(device, f"{device}/$edgeHub") == 401
    assert answer(f"{device}-other", f"{device}/$edgeAgent") == 401


def test_hundred_light_devices_report_at_once(hub: RunningHub, call: Call) -> None:
    names = [f"light-{number}" for number in range(100)]
    hub.control("POST", "/devices", {"ids": names})
    keys = {name: key_of(call, name, "$edgeHub") for name in names}

    async def life(name: str) -> None:
        inbox: list[tuple[str, bytes]] = []
        client = client_for(name, "$edgeHub", keys[name], inbox)
        await client.connect("127.0.0.1", hub.ports["mqtt"], tls(hub))
        await client.subscribe([TWIN_REPLIES])
        await client.publish("$iothub/twin/PATCH/properties/reported/?$rid=1", json.dumps({"name": name}).encode())
        await eventually(lambda: len(inbox) == 1)
        await client.disconnect()

    async def work() -> None:
        await asyncio.gather(*(life(name) for name in names))

    run(work())
    text = "SELECT deviceId, properties.reported.name FROM devices.modules WHERE is_defined(properties.reported.name)"
    rows = call("POST", "/devices/query", {"query": text}).json()
    assert sorted((row["deviceId"], row["name"]) for row in rows) == sorted((name, name) for name in names)


def test_300_garbage_connections_harm_nobody(hub: RunningHub, call: Call, device: str) -> None:
    chance = random.Random(7)
    held: list[socket.socket] = []
    rude = [b"GET / HTTP/1.1\r\n\r\n", b"CONNECT x", b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n"]
    for number in range(300):
        port = list(hub.ports.values())[number % 4]
        sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        sock.sendall(chance.choice([*rude, chance.randbytes(chance.randrange(1, 3000))]))
        held.append(sock)
    started = time.monotonic()
    assert call("GET", f"/twins/{device}").status_code == 200
    assert time.monotonic() - started < PATIENCE / 3
    for sock in held:
        sock.close()
    test_topics_are_isolated(hub, call, device)
    log = (hub.state.parent / "hub.log").read_text()
    assert "Traceback" not in log


def test_workload_api_is_scoped_to_one_module(hub: RunningHub, call: Call, device: str) -> None:
    env = hub.device_env(device, "$edgeAgent")
    uri, version = env["IOTEDGE_WORKLOADURI"], {"api-version": env["IOTEDGE_APIVERSION"]}
    session = requests.Session()
    session.trust_env = False
    data = json.dumps({"keyId": "primary", "algo": "HMACSHA256", "data": base64.b64encode(b"x\n1").decode()})
    own = session.post(f"{uri}/modules/%24edgeAgent/genid/1/sign", params=version, data=data, timeout=PATIENCE)
    assert len(base64.b64decode(own.json()["digest"])) == 32
    other = session.post(f"{uri}/modules/%24edgeHub/genid/1/sign", params=version, data=data, timeout=PATIENCE)
    assert other.status_code == 403
    guessed = uri.replace("%24edgeAgent", "%24edgeHub")
    assert session.get(f"{guessed}/trust-bundle", params=version, timeout=PATIENCE).status_code == 403
    bundle = session.get(f"{uri}/trust-bundle", params=version, timeout=PATIENCE).json()["certificate"]
    assert bundle == hub.ca.read_text()
    hub.fault("sign-fail", device=device)
    failed = session.post(f"{uri}/modules/%24edgeAgent/genid/1/sign", params=version, data=data, timeout=PATIENCE)
    assert failed.status_code == 500


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("CONNECT anything.test:8883", 200),
        ("CONNECT x:443", 200),
        ("CONNECT localhost:22", 403),
        ("GET http://x/", 405),
    ],
)
def test_proxy_leads_to_this_hub_and_nowhere_else(hub: RunningHub, request_line: str, status: int) -> None:
    with socket.create_connection(("127.0.0.1", hub.ports["proxy"]), timeout=PATIENCE) as sock:
        sock.sendall(f"{request_line} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert sock.recv(100).split(b" ")[1] == str(status).encode()


def test_state_files_are_private(hub: RunningHub) -> None:
    assert stat.S_IMODE(hub.state.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in hub.state.iterdir()}
    assert {"ca.pem", "ca.key", "connection-string", "control.sock", "hub.sqlite"} <= set(modes)
    assert set(modes.values()) == {0o600}


def test_every_answered_write_survives_kill_9(tmp_path: Path) -> None:
    hub = start_hub(tmp_path)
    chance = random.Random(11)
    try:
        hub.control("POST", "/devices", {"ids": ["edge1"]})
        for _ in range(5):
            answered: list[int] = []
            writer = threading.Thread(target=write_until_it_fails, args=(caller(hub), answered))
            writer.start()
            wait_for_writes(answered, chance.randint(1, 60))
            hub.kill()
            writer.join()
            hub.restart()
            desired = caller(hub)("GET", "/twins/edge1").json()["properties"]["desired"]
            assert answered, "nothing was written before the kill"
            # The one write under way may have been stored without being answered.
            assert desired["$version"] in (answered[-1], answered[-1] + 1)
            assert desired["$version"] == desired["n"] + 1
        assert hub.stop() == 0
    finally:
        hub.stop()


def wait_for_writes(answered: list[int], count: int) -> None:
    settled(lambda: len(answered) >= count)


def write_until_it_fails(call: Call, answered: list[int]) -> None:
    number = call("GET", "/twins/edge1").json()["properties"]["desired"]["$version"]
    try:
        while True:
            answer = call("PATCH", "/twins/edge1", {"properties": {"desired": {"n": number}}}).json()
            number = answer["properties"]["desired"]["$version"]
            answered.append(number)
    except requests.RequestException:
        return


def test_second_hub_on_the_same_state_folder_is_refused(hub: RunningHub) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "edge_expose_local.hub", "--state", str(hub.state)],
        env=child_environment(), capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert second.returncode == 1
    assert "another hub runs" in second.stderr


def test_address_beyond_this_machine_needs_the_word_for_it(tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "edge_expose_local.hub", "--state", str(tmp_path / "x"), "--address", "0.0.0.0"],
        env=child_environment(), capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "--allow-non-loopback" in refused.stderr
    assert not (tmp_path / "x").exists()
