"""What a kubeconfig or a pod states about the API server and about us, by the calls that go out."""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_expose_module.adapters import credentials
from edge_expose_module.adapters.kubernetes_api import KubernetesApi
from edge_expose_module.cluster.api import Unavailable
from support.cluster import clean_environment
from support.testbed_pki import Pki, make_pki


class Server:
    """Answers every call, and notes path, sign-in and the name on the caller's certificate."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.calls: list[tuple[str, str, str]] = []
        calls = self.calls

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shown = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
                subject = dict(part[0] for part in (shown or {}).get("subject", ()))
                calls.append((self.path, self.headers.get("Authorization", ""), subject.get("commonName", "")))
                body = b'{"gitVersion": "v1.36.3"}'
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"), ["kube.test"])


@pytest.fixture
def plain() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def secure(pki: Pki) -> Iterator[Server]:
    """Known as kube.test; asks for a certificate and takes calls without one."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pki.certificate, pki.key)
    tls.load_verify_locations(pki.ca)
    tls.verify_mode = ssl.CERT_OPTIONAL
    server = Server(tls)
    yield server
    server.stop()


Write = Callable[[dict[str, Any], dict[str, Any]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a kubeconfig of this cluster and this user."""

    def written(cluster: dict[str, Any], user: dict[str, Any]) -> Path:
        content = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "n"}}],
            "clusters": [{"name": "other", "cluster": {}}, {"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
        }
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(content))
        return file

    return written


def call(kubeconfig: Path) -> None:
    KubernetesApi(kubeconfig, kubeconfig.parent / "keys").version()


@pytest.mark.parametrize(
    ("user", "sent"),
    [
        pytest.param({"token": "t"}, "Bearer t", id="a token"),
        pytest.param({"tokenFile": "token"}, "Bearer from-file", id="a token in a file beside the kubeconfig"),
        pytest.param({"tokenFile": "token", "token": "t"}, "Bearer from-file", id="a file before a token"),
        pytest.param({"username": "ada", "password": "p"}, "Basic YWRhOnA=", id="a password"),
        pytest.param({}, "", id="nothing"),
    ],
)
def test_we_sign_in_as_the_user_states(
    plain: Server, write: Write, tmp_path: Path, user: dict[str, Any], sent: str
) -> None:
    (tmp_path / "token").write_text("from-file\n")
    call(write({"server": f"http://127.0.0.1:{plain.port}"}, user))
    assert plain.calls == [("/version", sent, "")]


def test_a_path_of_the_server_stands_before_every_other(plain: Server, write: Write) -> None:
    call(write({"server": f"http://127.0.0.1:{plain.port}/k8s/clusters/c-1/"}, {"token": "t"}))
    assert plain.calls[0][0] == "/k8s/clusters/c-1/version"


def test_a_token_file_that_is_rotated_is_read_again(plain: Server, write: Write, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one")
    api = KubernetesApi(write({"server": f"http://127.0.0.1:{plain.port}"}, {"tokenFile": "token"}), tmp_path / "keys")
    api.version()
    (tmp_path / "new").write_text("two")
    (tmp_path / "new").replace(tmp_path / "token")
    api.version()
    assert [sent for _, sent, _ in plain.calls] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize("inline", [True, False], ids=["in the kubeconfig", "in files beside it"])
def test_certificates_say_who_the_server_is_and_who_we_are(
    secure: Server, write: Write, pki: Pki, tmp_path: Path, inline: bool
) -> None:
    def stated(key: str, file: Path) -> dict[str, str]:
        if inline:
            return {f"{key}-data": base64.b64encode(file.read_bytes()).decode()}
        (tmp_path / key).write_bytes(file.read_bytes())
        return {key: key}

    cluster = {
        "server": f"https://127.0.0.1:{secure.port}",
        "tls-server-name": "kube.test",
        **stated("certificate-authority", pki.ca),
    }
    user = {**stated("client-certificate", pki.certificate), **stated("client-key", pki.key)}
    call(write(cluster, user))
    assert [name for _, _, name in secure.calls] == ["kube-apiserver"]


def test_a_server_that_shows_another_name_or_no_known_certificate_is_not_talked_to(
    secure: Server, write: Write, pki: Pki
) -> None:
    authority = {"certificate-authority-data": base64.b64encode(pki.ca.read_bytes()).decode()}
    address = {"server": f"https://127.0.0.1:{secure.port}"}
    for cluster in ({**address, "tls-server-name": "other.test", **authority}, {**address, **authority}, address):
        with pytest.raises(Unavailable, match=r"cannot be reached.*CERTIFICATE_VERIFY_FAILED"):
            call(write(cluster, {"token": "t"}))
    assert secure.calls == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_server_is_not_verified_where_the_kubeconfig_says_so(secure: Server, write: Write) -> None:
    call(write({"server": f"https://127.0.0.1:{secure.port}", "insecure-skip-tls-verify": True}, {"token": "t"}))
    assert [sent for _, sent, _ in secure.calls] == ["Bearer t"]


def test_a_program_that_the_kubeconfig_names_is_asked_for_a_token(plain: Server, write: Write, tmp_path: Path) -> None:
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "told by a program"},
    }
    (tmp_path / "answer").write_text(json.dumps(answer))
    asked = {"apiVersion": answer["apiVersion"], "command": "cat", "args": [str(tmp_path / "answer")]}
    call(write({"server": f"http://127.0.0.1:{plain.port}"}, {"exec": asked}))
    assert [sent for _, sent, _ in plain.calls] == ["Bearer told by a program"]


def test_without_the_official_client_a_plugin_is_said_to_need_it(write: Write) -> None:
    """An image may leave it out: nothing else needs it."""
    file = write({"server": "http://127.0.0.1:1"}, {"exec": {"command": "cat"}})
    program = (
        "import sys; sys.modules['kubernetes'] = None\n"
        "from pathlib import Path\n"
        "from edge_expose_module.adapters.kubernetes_api import KubernetesApi\n"
        "KubernetesApi(Path(sys.argv[1]), Path('keys')).version()"
    )
    command = [sys.executable, "-c", program, str(file)]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True)
    assert "the package kubernetes has to be installed for that" in done.stderr


def test_several_kubeconfigs_are_taken_together(plain: Server, write: Write, tmp_path: Path) -> None:
    first = write({"server": f"http://127.0.0.1:{plain.port}"}, {"token": "t"})
    second = tmp_path / "second"
    second.write_text(yaml.safe_dump({"clusters": [], "users": [], "contexts": []}))
    api = KubernetesApi(Path(f"{first}:{second}"), tmp_path / "keys")
    assert api.version() == "v1.36.3"
    assert api.context_namespace() == "n"


def test_a_kubeconfig_that_lacks_something_says_what_and_no_secret(write: Write) -> None:
    file = write({"server": "http://127.0.0.1:1"}, {"token": "secret"})
    for spoilt, told in (
        ("current-context: nobody", "contexts has no entry named nobody"),
        ("[]", "is no kubeconfig"),
        ("{", "no usable credentials"),
    ):
        file.write_text(f"{file.read_text()}\n" if spoilt == "" else spoilt)
        with pytest.raises(Unavailable, match=told) as failed:
            call(file)
        assert "secret" not in str(failed.value)


def test_a_pod_speaks_as_its_service_account(secure: Server, pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of the pod\n")
    (tmp_path / "ca.crt").write_bytes(pki.ca.read_bytes())
    found = credentials.of_pod({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}, tmp_path)
    assert (found.server, found.authorization()) == ("https://[fd00::1]:443", "Bearer of the pod")
    assert found.files == (tmp_path / "token", tmp_path / "ca.crt")
    assert "of the pod" not in repr(found)
