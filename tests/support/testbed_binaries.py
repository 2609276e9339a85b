"""Which real programs the test bed needs, and where their builds lie. Standard library only: the build script uses it.

Each combination is a Go module of its own under tests/cluster/go, since their dependencies exclude each other. A build
lies in a folder keyed on everything that goes into it, so that a changed pin never runs an old program.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

GO_FOLDER: Final = Path(__file__).resolve().parents[1] / "cluster" / "go"
# Raised when the way of building changes while the pins stay.
_RECIPE: Final = "1"
_KUBERNETES: Final = "k8s.io/kubernetes/cmd/"
_METALLB: Final = "go.universe.tf/metallb/"


@dataclass(frozen=True, slots=True)
class Combination:
    """A Go module and the programs it yields: name -> Go package."""

    name: str
    programs: Mapping[str, str]
    version: str = ""
    """Written into the program where its own build would (Kubernetes shows it under /version)."""
    generated_openapi: bool = False
    """The module lacks a generated file: it is made, and the build runs from a vendor folder that holds it."""
    module_files: Mapping[str, str] = field(default_factory=dict)
    """Folder of the build -> glob in the module `_METALLB` whose files are copied there."""
    tags: str = ""
    """Build tags."""

    @property
    def source(self) -> Path:
        return GO_FOLDER / self.name

    @property
    def key(self) -> str:
        recipe = f"{_RECIPE} {self.version} {sorted(self.programs.items())}" + (f" {self.tags}" if self.tags else "")
        digest = hashlib.sha256(recipe.encode())
        for file in sorted(self.source.iterdir()):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()[:12]

    @property
    def folder(self) -> Path:
        """Where the programs lie once built."""
        return root() / f"{self.name}-{self.key}"


def _kubernetes(*names: str) -> dict[str, str]:
    return {name: _KUBERNETES + name for name in names}


METALLB_PROGRAMS: Final = {"controller": _METALLB + "controller", "speaker": _METALLB + "speaker"}
_COREDNS: Final = {"coredns": "github.com/coredns/coredns"}
COMBINATIONS: Final = (
    Combination("metallb-0.10.3", METALLB_PROGRAMS),
    Combination("metallb-0.16.1", METALLB_PROGRAMS, module_files={"crds": "config/crd/bases/*.yaml"}),
    Combination("coredns-1.8.7", _COREDNS),
    Combination("coredns-1.15.0", _COREDNS),
    Combination(
        "kubernetes-1.36.3",
        _kubernetes("kube-apiserver", "kube-controller-manager", "kube-proxy", "kubectl"),
        version="1.36.3",
    ),
    Combination(
        "kubernetes-1.20.15",
        _kubernetes("kube-apiserver", "kube-controller-manager", "kube-proxy"),
        version="1.20.15",
        generated_openapi=True,
    ),
    # The other load balancers of the agreement tests; one of each serves both versions of Kubernetes.
    Combination(
        "cilium-1.15.19", {"cilium-operator": "github.com/cilium/cilium/operator"}, tags="ipam_provider_operator"
    ),
    Combination("service-controller-0.36.3", {"service-controller": "."}),
    # What an operator built on an unmodified client-go does.
    Combination("client-go-0.36.3", {"operator": "."}),
    Combination("helm-3.22.0", {"helm": "helm.sh/helm/v3/cmd/helm"}),
    # The rules for Gatekeeper, without Gatekeeper.
    Combination("opa-1.4.2", {"opa": "github.com/open-policy-agent/opa"}, tags="opa_no_oci"),
)
_BY_NAME: Final = {combination.name: combination for combination in COMBINATIONS}
_EITHER: Final = tuple(_BY_NAME[name] for name in ("cilium-1.15.19", "service-controller-0.36.3", "client-go-0.36.3"))
"""Programs that run beside either version of Kubernetes."""


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs of one real cluster."""

    kubernetes: Combination
    metallb: Combination
    coredns: Combination

    def path(self, name: str) -> Path:
        """The file of a program: kube-apiserver, controller, coredns and so on."""
        for combination in (self.kubernetes, self.metallb, self.coredns, *_EITHER):
            if name in combination.programs:
                return combination.folder / name
        return _BY_NAME["kubernetes-1.36.3"].folder / name

    def missing(self, *names: str) -> list[str]:
        """Those of these programs that are not built."""
        return [name for name in names if not self.path(name).exists()]


PROFILES: Final = {
    "1.36": Programs(_BY_NAME["kubernetes-1.36.3"], _BY_NAME["metallb-0.16.1"], _BY_NAME["coredns-1.15.0"]),
    "1.20": Programs(_BY_NAME["kubernetes-1.20.15"], _BY_NAME["metallb-0.10.3"], _BY_NAME["coredns-1.8.7"]),
}
CONTROL_PLANE: Final = ("kube-apiserver", "kube-controller-manager")
LOOPBACK: Final = (*CONTROL_PLANE, "controller")
NETWORK: Final = (*LOOPBACK, "kube-proxy", "speaker", "coredns")


def root() -> Path:
    """The cache folder of all builds."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "edge-expose" / "testbed"


#: package -> the program of it that is needed
DEBIAN: Final = {"prometheus": root() / "debian" / "promtool", "nginx": root() / "debian" / "nginx"}


def etcd() -> str | None:
    """The machine's etcd."""
    return shutil.which("etcd") or shutil.which("etcd", path="/usr/bin:/usr/local/bin")


def kubectl() -> str | None:
    """The machine's kubectl, else the test bed's."""
    built = PROFILES["1.36"].path("kubectl")
    return shutil.which("kubectl") or (str(built) if built.exists() else None)


def helm() -> Path:
    """The test bed's Helm, built or not."""
    return _BY_NAME["helm-3.22.0"].folder / "helm"


def opa() -> Path:
    """The test bed's OPA, built or not."""
    return _BY_NAME["opa-1.4.2"].folder / "opa"


def promtool() -> Path:
    """Debian's promtool, unpacked or not."""
    return DEBIAN["prometheus"]


def nginx() -> Path:
    """Debian's nginx, unpacked or not."""
    return DEBIAN["nginx"]


def why_not(profile: str, names: tuple[str, ...]) -> str:
    """Why a real cluster of this profile cannot be started here; empty when it can."""
    absent = PROFILES[profile].missing(*names)
    if absent:
        return f"real Kubernetes {profile} is not built ({', '.join(absent)} missing): run `make testbed`"
    if etcd() is None:
        return "etcd is not installed: apt install etcd-server, then run `make testbed`"
    return ""
