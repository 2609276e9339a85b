"""Writes what the types of real Kubernetes are, field by field, for the stand-in cluster: facts, no text of theirs.

Run it when a version of the test bed changes: `python tests/agreements/record_types.py` (needs Go and the modules that
`make testbed` fetched). It reads the Go types of the API; `test_types.py` holds the result to what the real servers say
under /openapi/v2. A field is written as

    NUMBER TYPE [MARK...]

NUMBER is that of protobuf. TYPE is a type of this file, a plain one, `[]TYPE` or `map:TYPE`; a leading `*` says that it
may be absent, all others are always on the wire. Marks: `inline` (its fields stand among those of the parent),
`merge=KEY`, `merge` and `retain` (strategic merge), `list=map|set|atomic`, `keys=A,B`, `atomic`, `default=JSON`,
`always` (shown even when empty).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "cloud" / "edge_expose_local" / "cluster" / "kinds" / "types"
CORE, META = "core", "meta"
KINDS = {
    CORE: "ConfigMap Endpoints Event Namespace Node Pod ReplicationController Secret Service ServiceAccount",
    "apps": "Deployment ReplicaSet Scale",
    "autoscaling": "Scale",
    "authentication": "SelfSubjectReview TokenRequest TokenReview",
    "authorization": "SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview",
    "coordination": "Lease",
    "discovery": "EndpointSlice",
    "events": "Event",
    "rbac": "ClusterRole ClusterRoleBinding Role RoleBinding",
    META: "APIGroup APIGroupList APIResourceList APIVersions DeleteOptions ListMeta PartialObjectMetadata "
    "PartialObjectMetadataList Status",
}
PLAIN = {"string", "bool", "int32", "int64", "float64", "bytes"}
FOREIGN = {
    "Time": "Time",
    "MicroTime": "MicroTime",
    "intstr.IntOrString": "IntOrString",
    "resource.Quantity": "Quantity",
    "types.UID": "string",
    "types.NodeName": "string",
    "runtime.RawExtension": "RawExtension",
    "runtime.Object": "RawExtension",
    "FieldsV1": "FieldsV1",
    "ExtraValue": "ExtraValue",
    "int": "int64",
}
FIELD = re.compile(r"^\t(?:(\w+)\s+)?([\w.*\[\]]+)\s+`(.*)`")


class Package:
    """The types of one Go package."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.structs: dict[str, list[tuple[str, str, list[str]]]] = {}
        self.aliases: dict[str, str] = {}
        self.atomic: set[str] = set()
        marks: list[str] = []
        current = ""
        for line in text.splitlines():
            if comment := re.match(r"^\s*//\s*\+(\S.*)", line):
                marks.append(comment[1].strip())
            elif re.match(r"^\s*//", line):
                continue
            elif begin := re.match(r"^type (\w+) struct \{", line):
                current = begin[1]
                self.structs[current] = []
                if "structType=atomic" in marks:
                    self.atomic.add(current)
                marks = []
            elif alias := re.match(r"^type (\w+) =? ?([\w.\[\]*]+)$", line):
                self.aliases[alias[1]] = alias[2]
                marks = []
            elif line.startswith("}"):
                current, marks = "", []
            elif current and (field := FIELD.match(line)):
                self.structs[current].append((field[2], field[3], marks))
                marks = []
            elif not line.strip():
                marks = [] if not current else marks


def tag(tags: str, name: str) -> str:
    found = re.search(rf'{name}:"([^"]*)"', tags)
    return found[1] if found else ""


class Recorder:
    """Collects the types that are reached from the kinds."""

    def __init__(self, packages: dict[str, Package]) -> None:
        self.packages = packages
        self.types: dict[str, dict[str, str]] = {}

    def key(self, package: str, name: str) -> str:
        return name if package in (CORE, META) else f"{package}.{name}"

    def type(self, package: str, go: str) -> str:
        if go == "[]byte":
            return "bytes"
        if go.startswith("[]"):
            return "[]" + self.type(package, go[2:])
        if go.startswith("map["):
            return "map:" + self.type(package, go.partition("]")[2])
        go = go.lstrip("*")
        if go in FOREIGN or go in PLAIN:
            return FOREIGN.get(go, go)
        prefix, dot, name = go.rpartition(".")
        if dot:
            home = {"metav1": META, "v1": CORE, "corev1": CORE, "apiv1": CORE}.get(prefix)
            assert home is not None, (package, go)
            return self.type(home, name)
        found = self.packages[package]
        if name in found.aliases:
            return self.type(package, found.aliases[name])
        self.record(package, name)
        return self.key(package, name)

    def record(self, package: str, name: str) -> None:
        key = self.key(package, name)
        if key in self.types:
            return
        fields = self.types[key] = {}
        if name in self.packages[package].atomic:
            fields[""] = "atomic"
        for go, tags, marks in self.packages[package].structs[name]:
            wire = tag(tags, "protobuf").split(",")
            if len(wire) < 2:
                continue  # TypeMeta
            name_, *options = tag(tags, "json").split(",")
            inline = "inline" in options or not name_
            shown = name_ or go.rpartition(".")[2]
            optional = go.startswith("*")
            parts = [wire[1], ("*" if optional else "") + self.type(package, go)]
            parts += ["inline"] if inline else []
            strategies = tag(tags, "patchStrategy").split(",")
            if "merge" in strategies:
                merge_key = tag(tags, "patchMergeKey")
                parts.append(f"merge={merge_key}" if merge_key else "merge")
            parts += ["retain"] if "retainKeys" in strategies else []
            found = dict(mark.partition("=")[::2] for mark in marks)
            if found.get("listType"):
                parts.append(f"list={found['listType']}")
            keys = [mark.partition("=")[2] for mark in marks if mark.startswith("listMapKey=")]
            parts += [f"keys={','.join(keys)}"] if keys else []
            if not optional and not inline and "omitempty" not in options and self.type(package, go) in PLAIN:
                parts.append("always")
            if found.get("mapType") == "atomic" or found.get("structType") == "atomic":
                parts.append("atomic")
            if "default" in found and found["default"][:1] in '"0123456789tf':
                parts.append(f"default={found['default']}")
            fields[shown] = " ".join(parts)


def folder(module: Path, path: str) -> Path:
    command = ["go", "list", "-mod=mod", "-m", "-f", "{{.Dir}}", path]
    return Path(subprocess.run(command, cwd=module, check=True, capture_output=True, text=True).stdout.strip())


def main() -> int:
    for version, discovery in (("1.36.3", "v1"), ("1.20.15", "v1beta1")):
        module = ROOT / "tests" / "cluster" / "go" / f"kubernetes-{version}"
        api, machinery = folder(module, "k8s.io/api"), folder(module, "k8s.io/apimachinery")
        packages = {META: Package(META, (machinery / "pkg/apis/meta/v1/types.go").read_text())}
        for name in KINDS:
            if name != META:
                file = api / name / (discovery if name == "discovery" else "v1") / "types.go"
                packages[name] = Package(name, file.read_text())
        recorder = Recorder(packages)
        for name, kinds in KINDS.items():
            for kind in kinds.split():
                if kind in packages[name].structs:
                    recorder.record(name, kind)
        content = json.dumps(dict(sorted(recorder.types.items())), indent=0, ensure_ascii=False)
        (TARGET / f"kubernetes-{version}.json").write_text(content + "\n")
        print(version, len(recorder.types), "types")
    return 0


if __name__ == "__main__":
    sys.exit(main())
