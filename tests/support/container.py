"""Starts the process of a shipped Deployment as a kubelet would: its environment, its volumes at their places, the
ServiceAccount, a root file system that cannot be written; in a mount namespace instead of a container."""

from __future__ import annotations

import base64
import functools
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties

from support.cluster import ROOT
from support.hub import RunningHub
from support.lots import own
from support.testbed_module import Cluster, account_kubeconfig, apply_all, shipped

HUB_CA: Final = "/run/edge-expose-hub"
ACCOUNT_FOLDER: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
#: mounts `place=source` pairs; a place that is not there is made on a file system of its own
_SCRIPT: Final = """
set -e
mount --make-rprivate /
mount --rbind "$KEEP" "$KEEP"
for place in /run /var/lib; do mount -t tmpfs none $place; done
mkdir /run/checkout
mount --rbind "$KEEP" /run/checkout
while [ "$1" != -- ]; do
  mkdir -p "${1%%=*}"
  mount --bind "${1#*=}" "${1%%=*}"
  shift
done
shift
# A checkout under /tmp is hidden by the pod's own /tmp.
[ -e "$KEEP/module" ] || { mkdir -p "$KEEP"; mount --rbind /run/checkout "$KEEP"; }
mount -o remount,bind,ro /
unset KEEP
exec "$@"
"""


@functools.cache
def why_no_container() -> str:
    """Empty where this machine lets us make a mount namespace."""
    tried = subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "mount namespaces are not allowed here"


class Container:
    """The first container of a Deployment. `secrets` are what `secretKeyRef` names, by Secret and key; `account` holds
    what a kubelet puts into the ServiceAccount's folder; `more` is environment beside the manifest's."""

    def __init__(
        self,
        deployment: Mapping[str, Any],
        folder: Path,
        secrets: Mapping[tuple[str, str], str],
        account: Mapping[str, str],
        more: Mapping[str, str],
    ) -> None:
        pod = deployment["spec"]["template"]["spec"]
        self.spec = pod["containers"][0]
        self.log = folder / "container.log"
        self.environment = {entry["name"]: _value(entry, secrets) for entry in self.spec["env"]} | dict(more)
        self.mounts: dict[str, Path] = {}
        volumes = {volume["name"] for volume in pod["volumes"]}
        for mount in self.spec["volumeMounts"]:
            assert mount["name"] in volumes, f"{mount['name']} is no volume of the pod"
            self.mounts[mount["mountPath"]] = folder / mount["name"]
        self.mounts[ACCOUNT_FOLDER] = folder / "account"
        for source in self.mounts.values():
            source.mkdir()
        for name, content in account.items():
            (folder / "account" / name).write_text(content)

    def mount(self, place: str, source: Path) -> None:
        self.mounts = {place: source, **self.mounts}

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        """`command` is the image's entry point; the manifest's own arguments follow."""
        assert "command" not in self.spec, "the image's entry point is replaced"
        # The last place may hide the sources of the others.
        mounts = sorted(self.mounts.items(), key=lambda item: item[0] == "/tmp")
        pairs = [f"{place}={source}" for place, source in mounts]
        arguments = [sys.executable, *command[1:], *self.spec.get("args", [])]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "KEEP": str(ROOT)}
        with self.log.open("wb") as log:
            return subprocess.Popen(
                ["unshare", "-Urm", "sh", "-c", _SCRIPT, "sh", *pairs, "--", *arguments],
                env=environment | self.environment,
                cwd="/",
                stdout=log,
                stderr=log,
            )


def _value(entry: Mapping[str, Any], secrets: Mapping[tuple[str, str], str]) -> str:
    if "value" in entry:
        return str(entry["value"])
    wanted = entry["valueFrom"]["secretKeyRef"]
    return secrets[wanted["name"], wanted["key"]]


def account_files(cluster: Any, namespace: str, folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Files of the ServiceAccount and the environment that a kubelet adds."""
    content = yaml.safe_load(account_kubeconfig(cluster, namespace, folder / "kubeconfig").read_text())
    server = content["clusters"][0]["cluster"]
    files = {
        "token": content["users"][0]["user"]["token"],
        "ca.crt": base64.b64decode(server["certificate-authority-data"]).decode(),
        "namespace": namespace,
    }
    where = urlsplit(server["server"])
    return files, {"KUBERNETES_SERVICE_HOST": str(where.hostname), "KUBERNETES_SERVICE_PORT": str(where.port)}


def reported(
    registry: IoTHubRegistryManager, device: str, process: subprocess.Popen[bytes], log: Path
) -> dict[str, Any]:
    """Exposures that have an address by the module's own report. `process` runs still, or its log is shown."""
    assert process.poll() is None, log.read_text()[-3000:]
    found = registry.get_module_twin(device, "edge-expose").properties.reported.get("exposures") or {}
    return {name: entry for name, entry in found.items() if entry.get("address")}


@dataclass(frozen=True)
class ShippedModule:
    """The pod of the shipped Deployment, for a device with one exposure, `web`. `key` is the secret of its identity;
    health is served at `port` of loopback."""

    pod: Container
    key: str
    port: int


def shipped_module(
    cluster: Cluster, hub: RunningHub, registry: IoTHubRegistryManager, namespace: str, folder: Path
) -> ShippedModule:
    """The local hub adds what IoT Hub needs none of: a CA of its own, and the way to its port."""
    apply_all(cluster, shipped("rbac.yaml", namespace))
    hub.control("POST", "/devices", {"ids": [namespace]})
    module = registry.create_module_with_sas(namespace, "edge-expose", "", None, None)
    told = hub.device_env(namespace, "edge-expose")
    key = module.authentication.symmetric_key.primary_key
    secret = (
        f"HostName={told['IOTEDGE_IOTHUBHOSTNAME']};DeviceId={namespace};ModuleId=edge-expose;SharedAccessKey={key}"
    )
    files, kubernetes = account_files(cluster, namespace, folder)
    deployment = next(item for item in shipped("module.yaml", namespace) if item["kind"] == "Deployment")
    (port,) = own().ports(1)
    more = {
        **kubernetes,
        "mqtt_proxy": told["mqtt_proxy"],
        "EdgeModuleCACertificateFile": f"{HUB_CA}/ca.pem",
        "EDGE_EXPOSE_HTTP_ADDRESS": f"127.0.0.1:{port}",  # a pod has its addresses to itself, a test has not
    }
    pod = Container(deployment, folder, {("edge-expose-hub", "connection-string"): secret}, files, more)
    trusted = folder / "hub-ca"
    trusted.mkdir()
    (trusted / "ca.pem").write_bytes(hub.ca.read_bytes())
    pod.mount(HUB_CA, trusted)
    desired = {"schemaVersion": "1.0", "exposures": {"web": {"selector": ["app=w"], "ports": ["8080:80"]}}}
    registry.update_module_twin(namespace, "edge-expose", Twin(properties=TwinProperties(desired=desired)))
    return ShippedModule(pod, key, port)
