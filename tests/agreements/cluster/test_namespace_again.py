"""A namespace that is deleted and made again: the module comes back by itself, with the addresses it held."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.testbed_module import ModuleBench, account_kubeconfig, apply_all
from support.waiting import eventually

WEB = {"selector": ["app=w"], "ports": ["8080:80"]}


@pytest.fixture
def module(cluster, tmp_path: Path) -> Iterator[ModuleBench]:
    bench = ModuleBench(cluster, cluster.namespace(), tmp_path)
    yield bench
    bench.remove_rights()


def end(cluster: Any, namespace: str) -> None:
    """Delete a namespace and wait until it is gone."""
    path = f"/api/v1/namespaces/{namespace}"
    cluster.call("DELETE", path)
    eventually(lambda: cluster.call("GET", path).status == 404, what=f"namespace {namespace} is gone")


def begin(cluster: Any, namespace: str) -> None:
    assert cluster.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}}).status == 201


def test_the_namespace_of_an_exposure_comes_back(cluster, module) -> None:
    other = cluster.namespace()
    module.rights_in(other)
    module.desire({"here": WEB, "there": {**WEB, "namespace": other, "address": f"{cluster.base}.15"}})
    module.until("there", "Pending", f"{cluster.base}.15")
    module.until("here", "Pending")
    end(cluster, other)
    module.until_true(lambda: module.exposure("there")["state"] in ("Blocked", "Failed"), "the loss is told")
    module.until("here", "Pending")
    begin(cluster, other)
    module.rights_in(other)
    module.until("there", "Pending", f"{cluster.base}.15")
    assert cluster.wait_address(other, "there", f"{cluster.base}.15")


def test_its_own_namespace_comes_back_with_a_new_account(cluster, module, tmp_path: Path) -> None:
    module.desire({"web": {**WEB, "address": f"{cluster.base}.16"}, "auto": WEB})
    module.until("web", "Pending", f"{cluster.base}.16")
    held = str(module.until("auto", "Pending")["address"])
    end(cluster, module.namespace)
    module.until_true(lambda: module.twin.reported["cluster"]["api"] != "ok", "the loss is told")
    begin(cluster, module.namespace)
    apply_all(cluster, module.rights)
    account_kubeconfig(cluster, module.namespace, tmp_path / "module.kubeconfig")
    module.until("web", "Pending", f"{cluster.base}.16")
    module.until("auto", "Pending", held)
