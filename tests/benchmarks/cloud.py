"""`make bench`: what the command line costs, in loops (`for i in range(10_000_000): x += i*i%7` in the same Python).

Times are CPU time, the least of several runs; the ratio stands first, since seconds are this machine's. Below it stand
counts that no machine changes; tests/unit/cloud/test_startup.py holds them. PEER names the `iotedgedev` of an
environment of its own, whose commands are then measured beside ours.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support.big_fleet import write_inventory, write_spec  # noqa: E402
from support.cloud_runs import cost_of, counted, loop_seconds  # noqa: E402

OURS = [sys.executable, "-m", "edge_expose_cloud"]
SPEC = "deployment-manifests/specs/two-tier.yaml"


# What the peer renders: a template of the size of our sample, of which it expands placeholders and createOptions.
TEMPLATE = {
    "$schema-template": "4.0.0",
    "modulesContent": {
        "$edgeAgent": {
            "properties.desired": {
                "schemaVersion": "1.1",
                "runtime": {"type": "docker", "settings": {"minDockerVersion": "v1.25", "loggingOptions": ""}},
                "systemModules": {
                    name: {
                        "type": "docker",
                        "settings": {"image": f"example.com/{name.lower()}:1", "createOptions": {}},
                    }
                    for name in ("edgeAgent", "edgeHub")
                },
                "modules": {
                    name: {"type": "docker", "settings": {"image": f"example.com/{name}:1", "createOptions": {}}}
                    for name in ("webserver", "database")
                },
            }
        },
        "$edgeHub": {
            "properties.desired": {
                "schemaVersion": "1.1",
                "routes": {"upstream": "FROM /messages/modules/* INTO $upstream"},
                "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
            }
        },
    },
}


def row(name: str, command: list[str], goal: float | None, times: int, folder: Path | None = None) -> None:
    cost = cost_of(command, times, folder)
    ratio = cost.seconds / loop_seconds()
    wanted = "" if goal is None else f"  goal {goal:.2f}"
    print(f"{ratio:6.2f} loop  {cost.seconds:6.2f} s  {cost.peak_mib:5.0f} MiB  {name}{wanted}")


def fleet(folder: Path, spec: Path, devices: int, goal: int, times: int) -> None:
    inventory = write_inventory(folder / f"fleet{devices}.yaml", devices)
    command = [*OURS, "ranges", str(spec), "--fleet", str(inventory), "--every-device"]
    cost = cost_of(command, times)
    speed = devices * loop_seconds() / cost.seconds
    print(
        f"{speed:6.0f} devices a loop  {cost.seconds:6.2f} s  {cost.peak_mib:5.0f} MiB  "
        f"plan {devices} devices of 50 exposures  goal {goal}"
    )


def counts(folder: Path, spec: Path) -> None:
    inventory = write_inventory(folder / "fleet.yaml", 100)
    runs = {
        "--help": ["--help"],
        f"validate {SPEC}": ["validate", SPEC],
        "ranges, 100 devices": ["ranges", str(spec), "--fleet", str(inventory), "--every-device"],
    }
    for name, arguments in runs.items():
        found = counted(str(folder / "counts.json"), *arguments)
        reads = found.calls.get("read_plain_yaml", 0), found.calls.get("read_any_yaml", 0)
        print(
            f"{len(found.modules):6} modules, {reads[0]} YAML reads ({reads[1]} in pure Python), "
            f"{found.calls.get('parse_exposure', 0)} exposures parsed: {name}"
        )


def peer(folder: Path) -> None:
    """The renderer of the tool that others use. It validates createOptions, and plans nothing."""
    found = os.environ.get("PEER") or shutil.which("iotedgedev")
    if not found:
        print("peer: none is installed (pip install iotedgedev in an environment of its own, and PEER=path/to/it)")
        return
    # A home of its own, in which it was told to send nothing about its use.
    settings = folder / ".iotedgedev"
    settings.mkdir()
    (settings / "setting.ini").write_text("[DEFAULT]\nfirsttime = no\ncollect_telemetry = no\n")
    (folder / "deployment.template.json").write_text(json.dumps(TEMPLATE))
    (folder / ".env").touch()
    run = ["env", f"HOME={folder}", str(Path(found).absolute())]
    row("iotedgedev --version (peer)", [*run, "--version"], None, 3, folder)
    command = [*run, "solution", "genconfig", "-f", "deployment.template.json", "-P", "amd64"]
    row("iotedgedev solution genconfig (peer), without its schemas where it cannot load them", command, None, 3, folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--times", type=int, default=5, help="runs of each, the least of which is told")
    parser.add_argument("--devices", type=int, nargs="*", default=[1000, 10000])
    chosen = parser.parse_args()
    os.chdir(ROOT)
    print(f"one loop: {loop_seconds():.2f} s")
    row("--help", [*OURS, "--help"], 0.25, chosen.times)
    row("--version", [*OURS, "--version"], 0.25, chosen.times)
    completion = ["env", "_EDGE_EXPOSE_COMPLETE=complete_bash", "COMP_WORDS=edge-expose va", "COMP_CWORD=1"]
    row("completion", [*completion, str(Path(sys.executable).parent / "edge-expose")], 0.25, chosen.times)
    row("validate --help", [*OURS, "validate", "--help"], 0.25, chosen.times)
    row(f"validate {SPEC}", [*OURS, "validate", SPEC], 0.3, chosen.times)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = write_spec(folder / "spec.yaml", 50)
        for devices in chosen.devices:
            fleet(folder, spec, devices, 1200, min(chosen.times, 3))
        row(f"render {SPEC}", [*OURS, "render", SPEC], None, chosen.times)
        peer(folder)
        counts(folder, spec)
    return 0


if __name__ == "__main__":
    sys.exit(main())
