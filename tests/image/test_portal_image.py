"""The portal's image, in a container as a kubelet makes one, by the arguments of the shipped Deployment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from support.hub import RunningHub, start_hub
from support.images import Image, Started, why_no_image
from support.lots import own
from support.testbed_module import shipped
from support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.skipif(bool(why_no_image("portal")), reason=why_no_image("portal"))
STATE = "/var/lib/edge-expose-portal"
HUB = "/run/edge-expose-hub"
PASSWORD = "Correct-Horse-7-Battery"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = start_hub(tmp_path_factory.mktemp("hub"))
    yield running
    running.stop()


def test_it_carries_neither_module_nor_stand_in() -> None:
    ours = Image("portal").root / "opt" / "edge-expose"
    assert {path.name for path in ours.glob("edge_expose_*") if path.is_dir()} == {
        "edge_expose_contract",
        "edge_expose_cloud",
    }
    assert not (ours / "kubernetes").exists()


def test_somebody_signs_in(hub: RunningHub, tmp_path: Path) -> None:
    """The first user is added in the running container, as the head of portal.yaml says."""
    (deployment,) = (item for item in shipped("portal.yaml", "edge1") if item["kind"] == "Deployment")
    spec = deployment["spec"]["template"]["spec"]["containers"][0]
    port, health = own().ports(2)
    places_of = {"0.0.0.0:8480": f"127.0.0.1:{port}", "0.0.0.0:9601": f"127.0.0.1:{health}"}
    arguments = [word.replace(old, new) for word in spec["args"] for old, new in places_of.items() if old in word] + [
        word for word in spec["args"] if "0.0.0.0" not in word
    ]
    places = {mount["name"]: tmp_path / mount["name"] for mount in spec["volumeMounts"]}
    for place in places.values():
        place.mkdir()
    (places["hub"] / "connection-string").write_text(hub.connection_string)
    (places["hub"] / "ca.pem").write_bytes(hub.ca.read_bytes())
    container = Started(
        Image("portal"),
        tmp_path,
        arguments,
        environment={entry["name"]: entry["value"] for entry in spec["env"]} | {"EDGE_EXPOSE_HUB_CA": f"{HUB}/ca.pem"},
        mounts={mount["mountPath"]: places[mount["name"]] for mount in spec["volumeMounts"]},
    )
    address, host = f"http://127.0.0.1:{port}", "edge-expose.example.com"
    session = requests.Session()
    session.trust_env = False
    session.headers["Host"] = host
    try:
        page = eventually(lambda: session.get(f"{address}/sign-in", timeout=PATIENCE), what="the sign-in page")
        command = ("edge-expose", "portal", "adduser", "ada", "--role", "operator", "--password-stdin")
        added = container.execute(*command, given=PASSWORD)
        assert added.returncode == 0, added.stderr
        assert "Sign in" in page.text
        form = {"name": "ada", "password": PASSWORD}
        sent = {"headers": {"Origin": f"http://{host}"}, "allow_redirects": False, "timeout": 30}
        answer = session.post(f"{address}/sign-in", data=form, **sent)
        assert answer.status_code == 303, answer.text
        wrong = session.post(f"{address}/sign-in", data={**form, "password": "no"}, **sent)
        assert wrong.status_code == 403
        probe = spec["livenessProbe"]["httpGet"]["path"]
        assert requests.Session().get(f"http://127.0.0.1:{health}{probe}", timeout=PATIENCE).status_code == 200
        container.signal("TERM")
        assert container.process.wait(30) == 0
        told = container.log.read_text()
        assert PASSWORD not in told
        assert "SharedAccessKey=" not in told
    finally:
        container.end()
