"""The control plane of a real cluster: etcd, kube-apiserver and the controllers our Services need."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.testbed_api import Api
from support.testbed_binaries import PROFILES, etcd
from support.testbed_namespaces import socket_in
from support.testbed_pki import Pki, make_pki
from support.testbed_processes import Launcher, Program
from support.waiting import eventually

SERVICE_CIDR: Final = "10.96.0.0/16"
SERVICE_API: Final = "10.96.0.1"
NODE_PORTS: Final = "10000-65000"
_CONTROLLERS: Final = {
    "1.36": "endpoints-controller,endpointslice-controller,endpointslice-mirroring-controller,namespace-controller,"
    "serviceaccount-controller,deployment-controller,replicaset-controller,garbage-collector-controller",
    "1.20": "endpoint,endpointslice,endpointslicemirroring,namespace,serviceaccount,deployment,replicaset,"
    "garbagecollector",
}


@dataclass(frozen=True, slots=True)
class PlaneSettings:
    """`address` is where clients reach the API server, `namespace` the network namespace everything runs in."""

    profile: str
    address: str
    api_port: int
    etcd_ports: tuple[int, int]
    controllers_port: int
    namespace: str | None = None
    advertise: bool = False
    """Keep the endpoints of the Service `kubernetes` up to date, so that pods reach the API through it."""
    service_cidr: str = SERVICE_CIDR
    """Cluster IPs; one range of each family for dual stack."""
    node_ports: str = NODE_PORTS


class ControlPlane:
    """Everything of it can be killed and started again by itself; etcd's data stays until `wipe`."""

    def __init__(self, settings: PlaneSettings, folder: Path, launcher: Launcher) -> None:
        self.settings = settings
        self.folder = folder
        self._launcher = launcher
        self._programs = PROFILES[settings.profile]
        names = ["localhost", "kubernetes", "kubernetes.default.svc", "127.0.0.1", SERVICE_API, settings.address]
        self.pki: Pki = make_pki(folder / "pki", list(dict.fromkeys(names)))
        self.kubeconfig = folder / "kubeconfig"
        self.write_kubeconfig(self.kubeconfig, self.pki.admin_token)
        self.api = Api(self.kubeconfig, namespace=settings.namespace)
        """As the administrator."""
        self.etcd: Program | None = None
        self.server: Program | None = None
        self.controllers: Program | None = None

    @property
    def programs(self) -> list[Program]:
        return [program for program in (self.controllers, self.server, self.etcd) if program is not None]

    def start(self) -> None:
        """Starts what does not run; returns when the API server is ready and the controllers work."""
        if self.etcd is None or not self.etcd.alive:
            self.start_etcd()
        if self.server is None or not self.server.alive:
            self.start_server()
        if self.controllers is None or not self.controllers.alive:
            self.start_controllers()

    def start_etcd(self) -> None:
        client, peer = (f"http://127.0.0.1:{port}" for port in self.settings.etcd_ports)
        command: list[str | Path] = [etcd() or "etcd", "--name", "bed", "--data-dir", self.folder / "etcd"]
        command += ["--listen-client-urls", client, "--advertise-client-urls", client]
        command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        # Each Service rewrites the bitmaps of cluster IPs and node ports: the default quota fills up.
        command += ["--initial-cluster", f"bed={peer}", "--quota-backend-bytes=8589934592", "--log-level", "warn"]
        self.etcd = self._launcher.start("etcd", command)
        self.etcd.wait_ready(self._etcd_healthy)

    def start_server(self) -> None:
        settings, pki = self.settings, self.pki
        command: list[str | Path] = [
            self._programs.path("kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{settings.etcd_ports[0]}",
            f"--bind-address={'0.0.0.0' if settings.advertise else settings.address}",
            f"--advertise-address={settings.address}",
            f"--secure-port={settings.api_port}",
            f"--service-cluster-ip-range={self.settings.service_cidr}",
            f"--service-node-port-range={settings.node_ports}",
            "--authorization-mode=RBAC",
            f"--tls-cert-file={pki.certificate}",
            f"--tls-private-key-file={pki.key}",
            f"--client-ca-file={pki.ca}",
            f"--token-auth-file={pki.tokens}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={pki.account_key}",
            f"--service-account-key-file={pki.account_key}",
            "--disable-admission-plugins=ServiceAccount",
            "--etcd-compaction-interval=1m",
            f"--cert-dir={self.folder / 'pki'}",
        ]
        if not settings.advertise:
            command.append("--endpoint-reconciler-type=none")
        self.server = self._launcher.start("kube-apiserver", command)
        self.server.wait_ready(self.api.ready)

    def start_controllers(self) -> None:
        settings = self.settings
        command: list[str | Path] = [
            self._programs.path("kube-controller-manager"),
            f"--kubeconfig={self.kubeconfig}",
            "--leader-elect=false",
            f"--controllers={_CONTROLLERS[settings.profile]}",
            "--bind-address=127.0.0.1",
            f"--secure-port={settings.controllers_port}",
            f"--authentication-kubeconfig={self.kubeconfig}",
            f"--authorization-kubeconfig={self.kubeconfig}",
            "--authentication-skip-lookup",
            f"--cert-dir={self.folder / 'pki'}",
        ]
        if settings.profile == "1.20":
            command.append("--port=0")
        self.controllers = self._launcher.start("kube-controller-manager", command)
        self.controllers.wait_ready(self._controllers_healthy)

    def stop(self) -> None:
        for program in self.programs:
            program.stop()

    def kill(self) -> None:
        """Everything at once and without warning, as a power cut does."""
        for program in self.programs:
            program.kill()

    def restart_server(self) -> None:
        assert self.server is not None
        self.server.kill()
        self.start_server()

    def wipe(self) -> None:
        """Forgets every object. Only data that this fixture made is ever removed."""
        self.kill()
        shutil.rmtree(self.folder / "etcd", ignore_errors=True)

    def write_kubeconfig(self, path: Path, token: str, server: str = "", namespace: str = "default") -> None:
        """A kubeconfig (0600) for a bearer token."""
        cluster = {
            "server": server or f"https://{self.settings.address}:{self.settings.api_port}",
            "certificate-authority-data": base64.b64encode(self.pki.ca.read_bytes()).decode(),
        }
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "bed", "cluster": cluster}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": "user", "namespace": namespace}}],
            "current-context": "bed",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(content, indent=1))

    def account_token(self, namespace: str, account: str) -> str:
        """A fresh token of a ServiceAccount, as the kubelet would ask for one."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}}
        return str(self.api.call("POST", path, body)["status"]["token"])

    def wait_furnished(self) -> None:
        """The namespaces and roles that the API server makes after it is ready are there."""
        api = self.api
        eventually(lambda: api.get("/api/v1/namespaces/default"), what="namespace default")
        roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles/view"
        eventually(lambda: api.get(roles), what="the default roles")

    def _etcd_healthy(self) -> bool:
        return b'"true"' in http_get(self.settings.namespace, self.settings.etcd_ports[0], "/health")

    def _controllers_healthy(self) -> bool:
        return http_get(self.settings.namespace, self.settings.controllers_port, "/healthz", tls=True) == b"ok"


def http_get(
    namespace: str | None,
    port: int,
    path: str,
    *,
    tls: bool = False,
    address: str = "127.0.0.1",
    token: str | None = None,
) -> bytes:
    """The body of a page of health or metrics, b'' when it does not answer with 200; certificates are not looked at."""
    connection = http.client.HTTPConnection(address, port, timeout=2)
    sock = socket_in(namespace, socket.SOCK_STREAM)
    sock.settimeout(2)
    try:
        sock.connect((address, port))
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            sock = context.wrap_socket(sock)
        connection.sock = sock
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        response = connection.getresponse()
        body = response.read()
        return body if response.status == 200 else b""
    except http.client.HTTPException as error:
        raise OSError(f"broken answer: {error!r}") from error
    finally:
        sock.close()
