"""The Helm chart and the Kustomize overlay: linted, rendered, and installed on both real combinations."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import kubernetes_files
from support.cluster import clean_environment
from support.testbed_binaries import PROFILES, helm
from support.testbed_loopback import RealCluster, real_cluster

pytestmark = [
    pytest.mark.testbed,
    pytest.mark.skipif(not helm().exists(), reason="Helm is not built: make testbed"),
]
CHART = str(kubernetes_files.CHART)
EVERYTHING = (
    "home=deployment",
    "guardRails.create=true",
    "guardRails.rails.ALLOW_PORTS={443,8000-8100}",
    "guardRails.rails.MAX_EXPOSURES=20",
    "networkPolicy.enabled=true",
    "portal.enabled=true",
    "portal.ingress.enabled=true",
    "portal.trustedProxies={10.0.0.0/24}",
    "module.gatewayCASecret=hub-ca",
    "module.persistence.storageClass=local-path",
    "module.extraEnv[0].name=EDGE_EXPOSE_ALLOW_CLASSES",
    "module.extraEnv[0].value=example.com/lb",
    "rbac.extraNamespaces={web,db}",
)
#: values, and the kinds that come of them beside the rights
HOMES: dict[str, set[str]] = {
    "deployment": {"Deployment", "PersistentVolumeClaim"},
    "edgeAgent": set(),
    "kubeconfig": {"Secret"},
}
RIGHTS = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


def options(values: Sequence[str]) -> list[str]:
    return [word for value in (*kubernetes_files.IMAGES, *values) for word in ("--set", value)]


def template(*values: str, namespace: str = "edge1") -> list[dict[str, Any]]:
    done = kubernetes_files.run_helm(*kubernetes_files.TEMPLATE, "--namespace", namespace, *options(values))
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def named(items: Sequence[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, Any]]:
    found = {(i["kind"], i["metadata"].get("namespace", ""), i["metadata"]["name"]): i for i in items}
    assert len(found) == len(items)
    return found


def test_the_files_and_the_tables_of_the_policy_are_what_the_chart_renders() -> None:
    """Renew them by `make manifests`."""
    assert kubernetes_files.TABLES.read_text() == kubernetes_files.tables()
    for file in kubernetes_files.FILES:
        assert (kubernetes_files.FOLDER / file).read_text() == kubernetes_files.rendered(file), file


def test_the_chart_lints_without_a_warning() -> None:
    done = kubernetes_files.run_helm("lint", "--strict", CHART, *options(EVERYTHING))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout


@pytest.mark.parametrize("home", HOMES)
def test_each_home_gets_what_it_needs_and_no_more(home: str) -> None:
    assert {item["kind"] for item in template(f"home={home}")} == RIGHTS | HOMES[home]


def test_one_namespace_has_no_rights_beyond_it() -> None:
    found = template("rbac.clusterScoped=false")
    assert not {item["kind"] for item in found} & {"ClusterRole", "ClusterRoleBinding"}
    assert {item["metadata"]["namespace"] for item in found} == {"edge1"}


def test_the_portal_alone_gets_no_rights_in_the_cluster() -> None:
    found = template("home=none", "portal.enabled=true")
    assert {item["kind"] for item in found} == {"Deployment", "PersistentVolumeClaim", "Service"}
    (pod,) = (item["spec"]["template"]["spec"] for item in found if item["kind"] == "Deployment")
    assert pod["automountServiceAccountToken"] is False


def test_an_image_by_digest() -> None:
    digest = "sha256:" + "0a" * 32
    (found,) = (i for i in template(f"module.image.digest={digest}") if i["kind"] == "Deployment")
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == f"edge-expose/module@{digest}"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("home=cluster", "home"),
        ("modul.logLevel=INFO", "modul"),
        ("guardRails.rails.ALLOW_PORT=80", "ALLOW_PORT"),
        ("module.healthPort=80", "healthPort"),
        ("module.extraEnv[0].name=A,module.extraEnv[0].value=7200", "/module/extraEnv/0/value"),
        ("module.image.digest=latest", "digest"),
        ("admissionPolicy.enabled=true", "needs guardRails.create"),
        ("module.image.repository=", "set module.image.repository"),
        ("home=none,portal.enabled=true,portal.image.repository=", "set portal.image.repository"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(value: str, words: str) -> None:
    done = kubernetes_files.run_helm(*kubernetes_files.TEMPLATE, *options([value]))
    assert done.returncode != 0
    assert words in done.stderr


def test_the_kustomize_overlay_gives_what_the_chart_gives() -> None:
    kubectl = PROFILES["1.36"].path("kubectl")
    overlay = kubernetes_files.FOLDER / "kustomize" / "plant7"
    command = [str(kubectl), "kustomize", str(overlay)]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    built = named([item for item in yaml.safe_load_all(done.stdout) if item])
    expected = named(
        template(
            "createNamespace=true",
            "rbac.loadBalancerNamespace=",
            "portal.enabled=true",
            "portal.hosts={plant7.example.com}",
            "guardRails.create=true",
            "guardRails.rails.ALLOW_PORTS={443,8000-8100}",
            "guardRails.rails.ALLOW_ADDRESSES={10.128.44.241-10.128.44.250}",
            "module.image.repository=registry.example.com/edge-expose/module",
            "portal.image.repository=registry.example.com/edge-expose/portal",
            namespace="plant7",
        )
    )
    assert built.keys() == expected.keys()
    for key, item in expected.items():
        assert built[key] == item, key


@pytest.fixture(scope="module", params=["1.36", "1.20"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(str(request.param), tmp_path_factory.mktemp("helm"), "127.142.0.10-127.142.0.12") as real:
        yield real


def on(cluster: RealCluster, folder: Path, *arguments: str) -> str:
    """Helm on a cluster; what it printed."""
    done = kubernetes_files.run_helm(*arguments, "--kubeconfig", str(cluster.kubeconfig), folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_install_upgrade_rollback_and_uninstall(cluster: RealCluster, tmp_path: Path) -> None:
    for namespace in ("web", "db"):
        cluster.api.create("/api/v1/namespaces", {"metadata": {"name": namespace}}, exists_ok=True)
    values = [*EVERYTHING]
    if cluster.profile == "1.36":
        values.append("admissionPolicy.enabled=true")
    release = ("edge-expose", CHART, "--namespace", "plant7")
    shown = on(cluster, tmp_path, "install", *release, "--create-namespace", *options(values))
    assert "kubectl -n plant7 rollout status" in shown
    rails = cluster.api.get("/api/v1/namespaces/plant7/configmaps/edge-expose-guard-rails")
    assert rails["data"] == {"ALLOW_PORTS": "443,8000-8100", "MAX_EXPOSURES": "20"}
    more = options([*values, "guardRails.rails.MAX_EXPOSURES=30"])
    on(cluster, tmp_path, "upgrade", *release, *more)
    on(cluster, tmp_path, "rollback", "edge-expose", "1", "--namespace", "plant7")
    history = json.loads(on(cluster, tmp_path, "history", "edge-expose", "--namespace", "plant7", "-o", "json"))
    assert [entry["status"] for entry in history] == ["superseded", "superseded", "deployed"]
    on(cluster, tmp_path, "uninstall", "edge-expose", "--namespace", "plant7")
    # What the module remembers stays, so that a new release goes on with the addresses given.
    claims = cluster.api.items("/api/v1/namespaces/plant7/persistentvolumeclaims")
    assert {claim["metadata"]["name"] for claim in claims} == {"edge-expose-state", "edge-expose-portal"}
    assert on(cluster, tmp_path, "install", *release, *options(values))


def test_a_cluster_without_such_policies_says_so(cluster: RealCluster, tmp_path: Path) -> None:
    if cluster.profile == "1.36":
        pytest.skip("only on 1.20, which has no ValidatingAdmissionPolicy")
    values = options(["guardRails.create=true", "admissionPolicy.enabled=true"])
    command = ("install", "other", CHART, "--namespace", "other", "--create-namespace", *values)
    done = kubernetes_files.run_helm(*command, "--kubeconfig", str(cluster.kubeconfig), folder=tmp_path)
    assert done.returncode != 0
    assert "Kubernetes 1.30" in done.stderr
