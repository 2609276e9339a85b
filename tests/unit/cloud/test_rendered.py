"""Where a path of a rendered manifest stands in the spec."""

from __future__ import annotations

import pytest

from edge_expose_cloud.manifest.spec_checks import check_rendered, spec_path
from support.cloud import spec_of_text

AGENT, HUB = "$edgeAgent.properties.desired", "$edgeHub.properties.desired"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (f"{AGENT}.modules.web.settings.createOptions01", "modules.web.createOptions"),
        (f"{AGENT}.modules.web.settings.image", "modules.web.image"),
        (f"{AGENT}.modules.web.env.A.value", "modules.web.env.A"),
        (f"{AGENT}.modules.web.version", "modules.web.version"),
        (f"{AGENT}.systemModules.edgeHub.env.A.value", "runtime.edgeHub.env.A"),
        (f"{AGENT}.runtime.settings.registryCredentials.acme.address", "registries.acme.address"),
        (AGENT, "modules"),
        (f"{HUB}.routes.up", "routes.up"),
        (f"{HUB}.storeAndForwardConfiguration.timeToLiveSecs", "runtime.timeToLiveSecs"),
        ("edge-expose.properties.desired.site.namespace", "network.namespace"),
        ("edge-expose.properties.desired.exposures.web-out.ports[0]", "exposures.web-out.ports[0]"),
        ("edge-expose", "exposures"),
        ("web.properties.desired.a.b[1]", "modules.web.desired.a.b[1]"),
        ("cam.properties.desired.key", "keep.cam.key"),
    ],
)
def test_each_part_of_a_manifest_has_its_place_in_the_spec(path: str, place: str) -> None:
    assert spec_path(path, spec_of_text()) == place


@pytest.mark.parametrize(
    ("bindings", "address", "found"),
    [
        ("90/tcp", "10.0.0.15", ("AgentAddressTwice", "modules.b")),
        ("80/tcp", "10.0.0.16", ("AgentPortNameTwice", "modules.b.createOptions")),
    ],
)
def test_an_exposure_may_clash_with_what_modules_publish_themselves(
    bindings: str, address: str, found: tuple[str, str]
) -> None:
    spec = spec_of_text(f"""\
schemaVersion: "1.0"
name: s
target: {{device: d1}}
driver: manifest
modules:
  a:
    image: x/a:1
    createOptions:
      HostConfig: {{PortBindings: {{"80/tcp": [{{HostPort: "80"}}]}}}}
      k8s-experimental: {{serviceOptions: {{type: LoadBalancer, loadBalancerIP: 10.0.0.15}}}}
  b: {{image: x/b:1, createOptions: {{HostConfig: {{PortBindings: {{"{bindings}": [{{HostPort: "9000"}}]}}}}}}}}
exposures:
  web: {{module: b, ports: ["9090:80"], address: {address}}}
""")
    assert found in [(item.rule, item.path) for item in check_rendered(spec)]
