"""Specs to start from, for the apps that people expose most. Pure: answers in, YAML text with comments out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """`body` is the YAML of modules and exposures; `@address@` stands where a fixed address goes, if one was given."""

    name: str
    what: str
    body: str


@dataclass(frozen=True, slots=True)
class Answers:
    """What the owner knows about the device. Empty ranges are left out: the load balancer then chooses."""

    name: str
    device: str
    external: str = ""
    nodes: str = ""
    address: str = ""
    image: str = ""


_WEB = """\
modules:
  webserver:
    image: @image@

exposures:
  web:                        # http://ADDRESS:8080 from outside
    module: webserver
    ports: ["8080:80"]        # published:target
@address@"""

_TWO_TIER = """\
modules:
  webserver:
    image: @image@
    env: {DATABASE: db}       # the name of the exposure below resolves inside the cluster
    startupOrder: 1
  database:
    image: edge-expose/sample-db:1

exposures:
  web:                        # from outside
    module: webserver
    ports: ["8080:80"]
@address@  db:                         # inside the cluster only
    module: database
    type: ClusterIP
    ports: [5432]
"""

_RTSP = """\
modules:
  camera:
    image: @image@

exposures:
  camera-feed:                # RTSP over TCP, media over UDP: two Services on one address
    module: camera
    ports: ["554:8554/tcp", "6970-6973:6970-6973/udp"]
    probe: tcp
@address@"""

_MQTT = """\
modules:
  broker:
    image: @image@

exposures:
  mqtt:                       # MQTT over TLS
    module: broker
    ports: ["8884:8883"]      # 8883 itself belongs to edgeHub
    sessionAffinity: ClientIP
    probe: tcp
@address@"""

_OPCUA = """\
modules:
  opc-server:
    image: @image@

exposures:
  opcua:
    module: opc-server
    ports: [4840]
    probe: tcp
@address@"""

_SELECTOR = """\
exposures:
  shop:                       # pods of your own, wherever they come from, chosen by their labels
    selector: ["app=shop"]
    ports: ["80:8080"]
@address@"""

PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("web", "one web server, reached from outside", _WEB),
        Preset("two-tier", "a web server outside, its database inside the cluster", _TWO_TIER),
        Preset("rtsp", "a camera gateway: TCP and UDP on one address", _RTSP),
        Preset("mqtt", "an MQTT broker beside edgeHub", _MQTT),
        Preset("opcua", "an OPC UA server", _OPCUA),
        Preset("pods", "pods of your own, by label", _SELECTOR),
    )
}
_IMAGES = {"web": "edge-expose/sample-web:1", "two-tier": "edge-expose/sample-web:1"}


def spec_from_preset(preset: Preset, answers: Answers) -> str:
    """The text of a spec; whether the answers make sense is for `validate` to say."""
    image = answers.image or _IMAGES.get(preset.name) or f"registry.example.com/acme/{preset.name}:1.0"
    address = f"    address: {_yaml(answers.address)}\n" if answers.address else ""
    body = preset.body.replace("@image@", _yaml(image)).replace("@address@", address)
    return f"""\
# {preset.what[0].upper()}{preset.what[1:]}. Check it, look at the plan, apply it:
#   edge-expose validate FILE; edge-expose plan FILE; edge-expose apply FILE --wait
schemaVersion: "1.0"
name: {_yaml(answers.name)}
target: {{device: {_yaml(answers.device)}}}
{_network(answers)}
{body}"""


def _network(answers: Answers) -> str:
    lines = []
    if answers.external:
        lines.append(f"  externalServiceIPs: {_yaml(answers.external)}")
        first = re.split(r"[-/,]", answers.external, maxsplit=1)[0].strip()
        if first != answers.address:
            lines.append(f"  reserved: {{edgehub: {_yaml(first)}}}   # edgeHub needs an address of the range too")
    if answers.nodes:
        lines.append(f"  nodeIPs: {_yaml(answers.nodes)}")
    if not lines:
        return ""
    return "\n".join(["\n# What the owner typed into the Compute network page of the device.", "network:", *lines, ""])


_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/:-]*[A-Za-z0-9]|[0-9]+(\.[0-9]+){3}(-[0-9.]+)?")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off"})


def _yaml(text: str) -> str:
    """The text as a YAML scalar: plain where that is safe, else in quotes."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else json.dumps(text)
