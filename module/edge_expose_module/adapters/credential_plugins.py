"""Credentials that the official client gets for us: from a program (`exec`), a provider, or several kubeconfigs.

Nothing but a kubeconfig that asks for it may import this: the client costs 5 MB of memory.
"""

from __future__ import annotations

from pathlib import Path

from kubernetes import config
from kubernetes.client import Configuration

from edge_expose_module.adapters.credentials import Credentials, tls_context


def ask_official_client(kubeconfig: Path, files: tuple[Path, ...], keys: Path) -> Credentials:
    """A token that expires is asked for again by whoever asks for the header; keys are written into folder `keys`."""
    configuration = Configuration()
    config.load_kube_config(str(kubeconfig), client_configuration=configuration, temp_file_path=str(keys))

    def authorization() -> str:
        return str(configuration.get_api_key_with_prefix("BearerToken") or "")

    tls = None
    if configuration.host.startswith("https"):
        tls = tls_context(
            ca_file=configuration.ssl_ca_cert,
            certificate_file=configuration.cert_file,
            key_file=configuration.key_file,
            verify=configuration.verify_ssl,
        )
    return Credentials(configuration.host, files, authorization, tls, configuration.tls_server_name)
