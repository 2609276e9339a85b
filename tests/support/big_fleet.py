"""A spec of many exposures and an inventory of many devices, as large as one likes."""

from __future__ import annotations

from pathlib import Path


def write_spec(path: Path, exposures: int) -> Path:
    """One spec for `${deviceId}`: a module, and exposures that want an address each."""
    lines = [f'  e{number}: {{module: web, ports: ["{8000 + number}:80"]}}' for number in range(exposures)]
    head = 'schemaVersion: "1.0"\nname: big\ntarget: {device: "${deviceId}"}\nmodules:\n  web: {image: "a/web:1"}\n'
    path.write_text(head + "exposures:\n" + "\n".join(lines) + "\n")
    return path


def write_inventory(path: Path, devices: int) -> Path:
    """Each device has ranges, a tag and a variable of its own."""
    lines = ["devices:"]
    for number in range(devices):
        net = "10.{}.{}".format(*divmod(number, 250))
        lines += [
            f"  d{number}:",
            "    tags: {site: n}",
            f"    network: {{externalServiceIPs: {net}.10-{net}.70, nodeIPs: {net}.1-{net}.2}}",
            f"    variables: {{site: s{number}}}",
        ]
    path.write_text("\n".join(lines) + "\n")
    return path
