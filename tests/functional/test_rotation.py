"""Credentials that are rotated under the running module are picked up without a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from edge_expose_module.adapters.kubernetes_api import KubernetesApi
from edge_expose_module.cluster.api import SERVICES, Unauthorized, Unavailable
from support.cluster import start_cluster

pytestmark = pytest.mark.local


def test_a_token_and_a_certificate_that_change_on_disk_are_read_again(tmp_path: Path) -> None:
    cluster = start_cluster(tmp_path)
    try:
        good = Path(cluster.kubeconfig).read_text()
        content = yaml.safe_load(good)
        content["users"][0]["user"] = {"token": "expired"}
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(content))
        api = KubernetesApi(file, tmp_path / "keys")
        with pytest.raises(Unauthorized):
            api.list(SERVICES, None)
        replace(file, good)
        assert api.version().startswith("v1.36")
        replace(file, yaml.safe_dump(content))
        with pytest.raises(Unauthorized):
            api.list(SERVICES, None)
        replace(file, "not: a kubeconfig")
        with pytest.raises(Unavailable):
            api.list(SERVICES, None)
        replace(file, good)
        api.list(SERVICES, None)
    finally:
        cluster.stop()


def replace(file: Path, text: str) -> None:
    """As a rotation does: a new file in place of the old one."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)
