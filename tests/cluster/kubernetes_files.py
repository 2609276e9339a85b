"""The Kubernetes files people apply with kubectl are the Helm chart's, rendered: one source for both.

`--write` renews them, and the part of the chart that repeats tables of the module (which keys steer a load balancer,
which networks no endpoint may lie in), after a change of either.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from ipaddress import summarize_address_range
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge_expose_contract.addressing import AddressRange
from edge_expose_module.desired.rails import steering
from edge_expose_module.desired.rails.networks import EVERYWHERE, TRANSLATORS
from support.testbed_binaries import helm

FOLDER: Final = Path(__file__).resolve().parents[2] / "deployment-manifests" / "kubernetes"
CHART: Final = FOLDER / "helm" / "edge-expose"
TABLES: Final = CHART / "templates" / "_tables.tpl"
#: Helm asks no cluster for its version here
TEMPLATE: Final = ("template", "edge-expose", str(CHART), "--kube-version", "1.36.3")
#: no public registry has them
IMAGES: Final = ("module.image.repository=edge-expose/module", "portal.image.repository=edge-expose/portal")
_PORTAL: Final = {"portal": {"enabled": True, "image": {"tag": "1"}}}
_MODULE: Final = {"module": {"image": {"tag": "1"}}}
#: file -> template and values; the namespace is edge1 throughout
FILES: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "rbac.yaml": ("rbac.yaml", {"createNamespace": True}),
    "rbac-one-namespace.yaml": ("rbac.yaml", {"rbac": {"clusterScoped": False}}),
    "rbac-extra-namespace.yaml": ("rbac-extra-namespace.yaml", {"rbac": {"extraNamespaces": ["web"]}}),
    "kubeconfig-account.yaml": ("kubeconfig-account.yaml", {"home": "kubeconfig"}),
    "module.yaml": ("module.yaml", _MODULE),
    "guard-rails.yaml": (
        "guard-rails.yaml",
        {
            "guardRails": {
                "create": True,
                "rails": {
                    "ALLOW_PORTS": [443, "8000-8100"],
                    "ALLOW_ADDRESSES": ["10.128.44.241-10.128.44.250"],
                    "MAX_EXPOSURES": 20,
                },
            }
        },
    ),
    "admission-policy.yaml": (
        "admission-policy.yaml",
        {"guardRails": {"create": True}, "admissionPolicy": {"enabled": True}},
    ),
    "network-policy.yaml": ("network-policy.yaml", {"networkPolicy": {"enabled": True}}),
    "portal.yaml": ("portal.yaml", _PORTAL),
    # A base of Kustomize stays inside its folder and inside one namespace.
    "kustomize/module/rbac.yaml": ("rbac.yaml", {"createNamespace": True, "rbac": {"loadBalancerNamespace": ""}}),
    "kustomize/module/module.yaml": ("module.yaml", _MODULE),
    "kustomize/portal/portal.yaml": ("portal.yaml", _PORTAL),
}


def run_helm(*arguments: str, folder: Path | None = None, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Helm with folders of its own, away from the settings and the proxies of whoever runs it."""
    with tempfile.TemporaryDirectory() as mine:
        base = folder or Path(mine)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(base),
            **{f"HELM_{name}_HOME": str(base / name.lower()) for name in ("CACHE", "CONFIG", "DATA")},
        }
        command = [str(helm()), *arguments]
        return subprocess.run(
            command, env=environment, input=given, capture_output=True, text=True, timeout=120, check=False
        )


def rendered(file: str) -> str:
    """A file as the chart renders it. Raises ValueError with Helm's words."""
    template, values = FILES[file]
    options = ["--namespace", "edge1", "--show-only", f"templates/{template}", "--values", "-"]
    options += [word for value in IMAGES for word in ("--set", value)]
    done = run_helm(*TEMPLATE, *options, given=json.dumps(values))
    if done.returncode:
        raise ValueError(done.stderr)
    text = re.sub(r"(?m)^# Source: .*\n", "", done.stdout)
    return text.removeprefix("---\n")


def tables() -> str:
    """The part of the chart that says in CEL what tables of the module say."""
    domains = "|".join(re.escape(domain) for domain in steering.DOMAINS)
    words = "|".join(pattern.pattern.split("(", 2)[2].rsplit(")($", 1)[0] for pattern in steering.WORDS)
    notes = "|".join(re.escape(note) for note in sorted(steering.NOTES))
    steers = (
        f"(k.lowerAscii().matches(r'^([^/]*\\.)?({domains})/|^([^/]*[.-])?({words})([.-][^/]*)?/"
        f"|({steering.IN_A_NAME.pattern})[^/]*$') && !k.lowerAscii().matches(r'^({notes})/'))"
    )
    networks = list(dict.fromkeys(map(_cidr, [*(network for network, _ in EVERYWHERE), *TRANSLATORS])))
    return (
        "{{/* Written by tests/cluster/kubernetes_files.py from the tables of the module. */}}\n"
        f'{{{{- define "edge-expose.steers" -}}}}\n{steers}\n{{{{- end }}}}\n'
        f'{{{{- define "edge-expose.refusedNetworks" -}}}}\n{networks}\n{{{{- end }}}}\n'
    )


def _cidr(network: AddressRange) -> str:
    (found,) = summarize_address_range(network.first, network.last)
    return str(found)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/cluster/kubernetes_files.py", description=__doc__)
    parser.add_argument("--write", action="store_true", help="renew the files")
    write = parser.parse_args().write
    stale = []
    if not TABLES.exists() or TABLES.read_text() != tables():
        stale.append(TABLES)
        if write:
            TABLES.write_text(tables())
    for file in FILES:
        text = rendered(file)
        path = FOLDER / file
        if not path.exists() or path.read_text() != text:
            stale.append(path)
            if write:
                path.write_text(text)
    for path in stale:
        print(f"{'written' if write else 'stale'}: {path}")
    return 1 if stale and not write else 0


if __name__ == "__main__":
    sys.exit(main())
