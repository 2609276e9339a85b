"""Where a path of a rendered manifest stands in the spec."""

from __future__ import annotations

import pytest

from edge_expose_cloud.manifest.spec_checks import spec_path
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
