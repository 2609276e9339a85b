"""The images of module and portal as `make images` built them, and containers of them, run by runc.

No registry is needed: the root file system below them is Debian's, by package, and the wheels are those of the lock
files. A container runs as its image says, with a root that cannot be written, no capability, no new privileges, and the
network of whoever starts it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from support.cluster import ROOT
from support.waiting import PATIENCE

PROGRAMS: Final = ("buildah", "runc", "mmdebstrap")
_PLACES: Final = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of: its Dockerfile, and everything whose change makes another image."""

    name: str
    dockerfile: str
    sources: tuple[str, ...]
    requirements: tuple[str, ...]

    @property
    def key(self) -> str:
        digest = hashlib.sha256()
        for name in (self.dockerfile, *self.requirements, ".dockerignore", "pyproject.toml", *self.sources):
            top = ROOT / name
            for file in sorted(top.rglob("*.*")) if top.is_dir() else [top]:
                if file.is_file() and "__pycache__" not in file.parts:
                    digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()[:12]


_MODULE: Final = ("module/assemble_image.py", "module/edge_expose_contract")
RECIPES: Final = {
    "module": Recipe(
        "module",
        "module/Dockerfile",
        (*_MODULE, "module/edge_expose_module"),
        ("module/build-requirements.txt", "module/requirements.txt"),
    ),
    "portal": Recipe("portal", "cloud/Dockerfile", (*_MODULE, "cloud/edge_expose_cloud"), ("cloud/requirements.txt",)),
}


def folder() -> Path:
    """The cache folder of images."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "edge-expose" / "images"


def program(name: str) -> str | None:
    return shutil.which(name, path=":".join((os.environ.get("PATH", ""), *_PLACES)))


@functools.cache
def why_no_image(name: str) -> str:
    """Why no container of this image can be run here; empty when one can."""
    if os.geteuid() != 0:
        return "images need root"
    missing = [found for found in PROGRAMS if program(found) is None]
    if missing:
        return f"images need {' and '.join(missing)}: apt install {' '.join(missing)}"
    if " cgroup" not in Path("/proc/self/mountinfo").read_text():
        return "runc cannot work here: no cgroup is mounted"
    recipe = RECIPES[name]
    return "" if built(recipe).exists() else f"the image of the {name} is not built from these sources: make images"


def built(recipe: Recipe) -> Path:
    """Where a built image lies: its root file system, what it says of itself, and the size of its own layer."""
    return folder() / f"{recipe.name}-{recipe.key}"


@dataclass
class Image:
    """A built image."""

    name: str
    root: Path = field(init=False)
    config: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        place = built(RECIPES[self.name])
        self.root = place / "rootfs"
        self.config = json.loads((place / "config.json").read_text())

    @property
    def environment(self) -> dict[str, str]:
        return dict(entry.split("=", 1) for entry in self.config["Env"])


class Started:
    """A container that runs. `log` is what it prints."""

    def __init__(
        self,
        image: Image,
        place: Path,
        arguments: Sequence[str] = (),
        *,
        entry_point: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        mounts: Mapping[str, Path] | None = None,
    ) -> None:
        """`mounts` are places in the container and what lies there: all may be written. Each belongs to uid 10001."""
        self.place = place
        self.log = place / "container.log"
        self._id = f"edge-expose-{uuid.uuid4().hex[:12]}"
        command = [*(image.config["Entrypoint"] if entry_point is None else entry_point), *arguments]
        told = image.environment | dict(environment or {})
        (place / "config.json").write_text(json.dumps(_bundle(image, command, told, mounts or {})))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self._runc("run", "--bundle", str(place), self._id), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _runc(self, *arguments: str) -> list[str]:
        return [str(program("runc")), "--root", str(self.place / "runc"), *arguments]

    def execute(self, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Another command in the container, as `kubectl exec -i` starts one."""
        return subprocess.run(
            self._runc("exec", self._id, *command), input=given, capture_output=True, text=True, timeout=60, check=False
        )

    def signal(self, name: str) -> None:
        subprocess.run(self._runc("kill", self._id, name), check=True, capture_output=True, timeout=PATIENCE)

    def end(self) -> None:
        if self.process.poll() is None:
            subprocess.run(self._runc("kill", self._id, "KILL"), check=False, capture_output=True, timeout=PATIENCE)
            self.process.wait(30)
        subprocess.run(self._runc("delete", "--force", self._id), check=False, capture_output=True, timeout=PATIENCE)


def _bundle(
    image: Image, command: Sequence[str], environment: Mapping[str, str], mounts: Mapping[str, Path]
) -> dict[str, Any]:
    uid, gid = (int(part) for part in image.config["User"].split(":"))
    for source in mounts.values():
        for path in (source, *source.rglob("*")):
            os.chown(path, uid, gid)
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": uid, "gid": gid},
            "args": list(command),
            "env": [f"{key}={value}" for key, value in environment.items()],
            "cwd": "/",
            "capabilities": {kind: [] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")},
            "noNewPrivileges": True,
        },
        "root": {"path": str(image.root), "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            *(
                {"destination": place, "source": str(path), "options": ["rbind", "rw"]}
                for place, path in mounts.items()
            ),
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")],
            "maskedPaths": ["/proc/kcore", "/proc/keys"],
            "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"],
        },
    }
