"""Where the API server is, by what it is known, and what we say of ourselves: as a kubeconfig or the pod states it.

Where a kubeconfig names a program or a provider that has to be asked for a token, the official client asks
(`credential_plugins`); it is imported then and not before, since it costs 5 MB of memory and 0.07 s.
"""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from urllib3.util import make_headers
from urllib3.util.ssl_ import create_urllib3_context

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_ASKED: Final = ("exec", "auth-provider")
Node = Mapping[str, Any]


class NoCredentials(Exception):
    """Says what is missing where, and holds no secret."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """`authorization` gives the header of that name, empty where a certificate says who we are; `server_name` is what
    the server's certificate names, where that is not its host. When one of `files` changes, all is to be read again."""

    server: str
    files: tuple[Path, ...]
    authorization: Callable[[], str] = field(repr=False, default=lambda: "")
    tls: ssl.SSLContext | None = None
    server_name: str | None = None


def of_pod(environment: Mapping[str, str], account: Path = SERVICE_ACCOUNT) -> Credentials:
    """Those of the ServiceAccount; the environment says where the API server is."""
    token, ca = account / "token", account / "ca.crt"
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    header = _bearer(token.read_text(encoding="utf-8"))
    tls = tls_context(ca_file=str(ca))
    return Credentials(f"https://{f'[{host}]' if ':' in host else host}:{port}", (token, ca), lambda: header, tls)


def of_kubeconfig(file: Path, keys: Path) -> Credentials:
    """Those of its current context. Private keys that come from a plugin are written into folder `keys`."""
    files = kubeconfig_files(file)
    content = _read(files[0])
    if len(files) > 1 or any(key in _user(content) for key in _ASKED):
        try:
            from edge_expose_module.adapters.credential_plugins import ask_official_client
        except ImportError as error:
            told = "it names a plugin or is one of several: the package kubernetes has to be installed for that"
            raise NoCredentials(told) from error
        return ask_official_client(file, files, keys)
    cluster, user, folder = _cluster(content), _user(content), files[0].parent
    named = [folder / str(cluster[key]) for key in ("certificate-authority",) if cluster.get(key)]
    named += [folder / str(user[key]) for key in ("client-certificate", "client-key", "tokenFile") if user.get(key)]
    server = str(cluster.get("server") or "http://localhost")
    tls = None
    if server.startswith("https"):
        tls = tls_context(
            ca=_content(cluster, "certificate-authority", folder),
            certificate=_content(user, "client-certificate", folder),
            key=_content(user, "client-key", folder),
            verify=not cluster.get("insecure-skip-tls-verify"),
        )
    header = _authorization(user, folder)
    name = cluster.get("tls-server-name")
    return Credentials(server, (*files, *named), lambda: header, tls, str(name) if name else None)


def namespace_of(kubeconfig: Path) -> str | None:
    """The namespace of the current context."""
    namespace = _context(_read(kubeconfig_files(kubeconfig)[0])).get("namespace")
    return str(namespace) if namespace else None


def kubeconfig_files(file: Path) -> tuple[Path, ...]:
    """KUBECONFIG may name several."""
    return tuple(Path(part).expanduser() for part in str(file).split(os.pathsep) if part)


def tls_context(
    *,
    ca: bytes | None = None,
    ca_file: str | None = None,
    certificate: bytes | None = None,
    key: bytes | None = None,
    certificate_file: str | None = None,
    key_file: str | None = None,
    verify: bool = True,
) -> ssl.SSLContext:
    """One for all connections: each of its own would read and parse the certificates again."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if verify else ssl.CERT_NONE)
    if ca is not None:
        context.load_verify_locations(cadata=ca.decode("ascii"))
    elif ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    elif verify:
        context.load_default_certs()
    if certificate is not None and key is not None:
        with _in_memory(certificate + b"\n" + key) as name:
            context.load_cert_chain(name)
    elif certificate_file is not None:
        context.load_cert_chain(certificate_file, key_file)
    return context


@contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """A name by which TLS, which takes files only, reads this: a private key never lies on a disk."""
    with open(os.memfd_create("key"), "wb", buffering=0) as file:
        file.write(data)
        yield f"/proc/self/fd/{file.fileno()}"


# --- what a kubeconfig says ---


def _read(file: Path) -> Node:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    if not isinstance(content, Mapping):
        raise NoCredentials(f"{file} is no kubeconfig")
    return content


def _context(content: Node) -> Node:
    return _named(content, "contexts", "context", content.get("current-context"))


def _cluster(content: Node) -> Node:
    return _named(content, "clusters", "cluster", _context(content).get("cluster"))


def _user(content: Node) -> Node:
    name = _context(content).get("user")
    return _named(content, "users", "user", name) if name else {}


def _named(content: Node, section: str, key: str, name: object) -> Node:
    entries = content.get(section)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and entry.get("name") == name:
            found = entry.get(key)
            return found if isinstance(found, Mapping) else {}
    raise NoCredentials(f"{section} has no entry named {name}")


def _content(node: Node, key: str, folder: Path) -> bytes | None:
    """What stands in the file itself comes before the file it names."""
    if node.get(f"{key}-data"):
        return base64.standard_b64decode(str(node[f"{key}-data"]))
    return (folder / str(node[key])).read_bytes() if node.get(key) else None


def _authorization(user: Node, folder: Path) -> str:
    if user.get("tokenFile"):
        return _bearer((folder / str(user["tokenFile"])).read_text(encoding="utf-8"))
    if user.get("token"):
        return _bearer(str(user["token"]))
    if user.get("username") and user.get("password"):
        return make_headers(basic_auth=f"{user['username']}:{user['password']}")["authorization"]
    return ""


def _bearer(token: str) -> str:
    if not token.strip():
        raise NoCredentials("the token is empty")
    return f"Bearer {token.strip()}"
