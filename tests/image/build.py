"""Builds the images of module and portal without a registry, into the cache folder. `make images` runs it, as root.

The base is Debian with Python, by package (mmdebstrap); pip is this Python's; the wheels are downloaded here, by the
hashes of the lock files, so that the build itself needs no network. Builds only what changed: about two minutes the
first time, 20 s for each image after that. It also fetches what the tests of wheel and source distribution install.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pip

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import packages
from support.cluster import ROOT
from support.images import PROGRAMS, RECIPES, Recipe, built, folder, program

SUITE: Final = "bookworm"
PACKAGES: Final = "python3,ca-certificates"
_RECIPE: Final = "1"
#: builds of one image that are kept, for other checkouts of this machine
_KEPT: Final = 4
_PYTHON_PACKAGES: Final = "/usr/lib/python3/dist-packages"


class BuildError(Exception):
    """The text says what failed."""


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{' '.join(command[:8])}: {done.stderr[-3000:]}")
    return done.stdout.strip()


def buildah(store: Path, *arguments: str) -> str:
    return run(str(program("buildah")), "--root", str(store / "root"), "--runroot", str(store / "run"), *arguments)


def base() -> Path:
    """The root file system everything stands on."""
    tar = folder() / f"{SUITE}-{_RECIPE}.tar"
    if not tar.exists():
        unfinished = tar.with_suffix(".unfinished.tar")
        left_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")]
        mmdebstrap = [str(program("mmdebstrap")), "--quiet", "--variant=essential", f"--include={PACKAGES}"]
        run(*mmdebstrap, *left_out, SUITE, str(unfinished))
        unfinished.rename(tar)
    return tar


def build(recipe: Recipe, store: Path) -> None:
    wheels = store / f"wheels-{recipe.name}"
    for file in recipe.requirements:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        run(*download, "--requirement", file, "--dest", str(wheels))
    arguments = {
        "BASE": "localhost/base:1",
        "BUILD_BASE": "localhost/build-base:1",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "/wheels",
    }
    options = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
    options += ["--isolation", "chroot", "--network", "host", "--pull-never", "--volume", f"{wheels}:/wheels:ro"]
    tag = f"localhost/edge-expose/{recipe.name}:1"
    buildah(store, "bud", "--quiet", *options, "--file", recipe.dockerfile, "--tag", tag, ".")
    container = buildah(store, "from", "--pull-never", tag)
    about = json.loads(buildah(store, "inspect", "--type", "image", tag))["OCIv1"]["config"]
    mounted = buildah(store, "mount", container)
    place = built(recipe)
    unfinished = place.with_name(f".{place.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    run("cp", "--archive", mounted, str(unfinished / "rootfs"))
    (unfinished / "config.json").write_text(json.dumps(about, indent=2))
    unfinished.rename(place)
    earlier = sorted(folder().glob(f"{recipe.name}-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in earlier[_KEPT:]:
        shutil.rmtree(old)


def bases(store: Path) -> None:
    container = buildah(store, "from", "scratch")
    buildah(store, "add", "--quiet", container, str(base()), "/")
    buildah(store, "commit", "--quiet", container, "localhost/base:1")
    buildah(store, "copy", "--quiet", container, str(Path(pip.__file__).parent), f"{_PYTHON_PACKAGES}/pip")
    buildah(store, "commit", "--quiet", container, "localhost/build-base:1")


def main() -> int:
    if not packages.fetched():
        start = time.monotonic()
        packages.fetch()
        print(f"packages of the extras: {time.monotonic() - start:.0f} s", flush=True)
    missing = [name for name in PROGRAMS if program(name) is None]
    if missing or os.geteuid() != 0:
        print(f"images need root and {', '.join(PROGRAMS)}: apt install {' '.join(missing)}", file=sys.stderr)
        return 1
    folder().mkdir(parents=True, exist_ok=True)
    with (folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        absent = [recipe for recipe in RECIPES.values() if not built(recipe).exists()]
        if not absent:
            print(f"the images are built: {folder()}")
            return 0
        store = folder() / "store"
        shutil.rmtree(store, ignore_errors=True)
        store.mkdir()
        try:
            start = time.monotonic()
            bases(store)
            print(f"base: {time.monotonic() - start:.0f} s", flush=True)
            for recipe in absent:
                start = time.monotonic()
                build(recipe, store)
                print(f"{recipe.name}: {time.monotonic() - start:.0f} s", flush=True)
        except BuildError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        finally:
            subprocess.run(
                [
                    str(program("buildah")),
                    "--root",
                    str(store / "root"),
                    "--runroot",
                    str(store / "run"),
                    "rm",
                    "--all",
                ],
                capture_output=True,
                check=False,
            )
            shutil.rmtree(store, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
