"""The pipelines for users, run as the scripts they are, against local mode: a plan becomes a comment, and what was
approved is applied, or nothing.

`gh` and `curl` are stood in for: they keep comments in files. What `--jq` filters is filtered by the real jq.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from support.cluster import ROOT
from support.local import Local

FOLDER: Final = ROOT / "deployment-manifests" / "ci"
BOT: Final = "github-actions[bot]"
_TOOL: Final = f'#!/bin/sh\nexec {sys.executable} -m edge_expose_cloud "$@"\n'
#: comments are kept as the API of GitHub gives them: `[{user: {login}, body}]`
_GH: Final = """#!/bin/sh
set -e
case "$1 $2" in
  "pr comment")
    [ "$3" = 7 ] && [ "$4 $5 $6" = "--edit-last --create-if-none --body-file" ]
    jq --rawfile body "$7" 'map(select(.user.login != $me)) + [{user: {login: $me}, body: $body}]' \\
      --arg me "github-actions[bot]" comments.json > new.json
    mv new.json comments.json ;;
  "api repos/o/r/commits/c0ffee/pulls") jq -r "$4" pulls.json ;;
  "api repos/o/r/issues/7/comments") [ "$3 $4" = "--paginate --jq" ] && jq -r "$5" comments.json ;;
  *) echo "not known: $*" >&2; exit 64 ;;
esac
"""
_CURL: Final = """#!/bin/sh
set -e
for word; do case "$word" in @*) cp "${word#@}" thread-sent.json;; https://*) echo "$word" > url;; esac; done
"""


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    made = Local(tmp_path_factory.mktemp("pipelines"))
    yield made
    made.stop()


class Repository:
    """A checkout with a spec, and the programs that its pipelines call."""

    def __init__(self, local: Local, folder: Path) -> None:
        if shutil.which("jq") is None:
            pytest.skip("jq is not installed: apt install jq")
        self.folder = folder
        self._local = local
        (folder / "bin").mkdir()
        for name, text in {"edge-expose": _TOOL, "gh": _GH, "curl": _CURL}.items():
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        self.keep("comments", [])
        self.keep("pulls", [{"number": 7}])

    def keep(self, name: str, value: Any) -> None:
        (self.folder / f"{name}.json").write_text(json.dumps(value))

    def kept(self, name: str) -> Any:
        return json.loads((self.folder / f"{name}.json").read_text())

    def spec(self, port: int) -> None:
        """The spec of the repository: one exposure at this port."""
        (self.folder / "site.yaml").write_text(
            json.dumps(
                {
                    "schemaVersion": "1.0",
                    "name": "site",
                    "target": {"device": "edge1"},
                    "modules": {"app": {"image": "edge-expose/echo:1"}},
                    "exposures": {"web": {"module": "app", "ports": [f"{port}:8080"]}},
                }
            )
        )

    def run(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        # The local hub knows no Entra: its connection string stands in for the sign-in of the plan.
        told = {**self._local.environment, "SPEC": "site.yaml", "SIGN_IN": "", **environment, "PATH": path}
        # As the hosted runner starts a script.
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        return subprocess.run(
            command, cwd=self.folder, env=told, capture_output=True, text=True, timeout=120, check=False
        )

    def exposed(self) -> str:
        """The port that the device publishes now."""
        return self._local.kubectl("-n", "edge1", "get", "service", "web", "-o", "jsonpath={.spec.ports[0].port}")


@pytest.fixture
def repository(local: Local, tmp_path: Path) -> Repository:
    return Repository(local, tmp_path)


def github(job: str, name: str) -> str:
    jobs = yaml.safe_load((FOLDER / "github-actions.yaml").read_text())["jobs"]
    (found,) = (step["run"] for step in jobs[job]["steps"] if step.get("name") == name)
    assert "${{" not in found, "what others write is never part of a script"
    return str(found)


def azure(name: str) -> str:
    found: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict) and node.get("displayName") == name:
            found.append(node["bash"] if "bash" in node else node["inputs"]["inlineScript"])
        for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            walk(part)

    walk(yaml.safe_load((FOLDER / "azure-pipelines.yaml").read_text()))
    (script,) = found
    return script


def planned(repository: Repository) -> str:
    """The pull request is opened: what the comment says."""
    done = repository.run(github("plan", "Plan"), NUMBER="7")
    assert done.returncode == 0, done.stdout + done.stderr
    (comment,) = (item for item in repository.kept("comments") if item["user"]["login"] == BOT)
    return str(comment["body"])


def merged(repository: Repository) -> subprocess.CompletedProcess[str]:
    return repository.run(github("apply", "Apply what was approved"), REPOSITORY="o/r", COMMIT="c0ffee")


def test_what_was_approved_is_applied_and_nothing_else(repository: Repository) -> None:
    repository.spec(8081)
    assert "8081" in planned(repository)
    # Somebody writes a plan of their own into the conversation.
    repository.keep(
        "comments",
        [*repository.kept("comments"), {"user": {"login": "mallory"}, "body": "Digest `0000000000000000`: done"}],
    )
    done = merged(repository)
    assert done.returncode == 0, done.stdout + done.stderr
    assert repository.exposed() == "8081"
    repository.spec(8082)
    planned(repository)
    repository.spec(8083)  # changed after the approval
    done = merged(repository)
    assert done.returncode == 1
    assert "digest" in done.stderr
    assert repository.exposed() == "8081"


def test_without_changes_there_is_nothing_to_approve(repository: Repository) -> None:
    repository.spec(8084)
    planned(repository)
    assert merged(repository).returncode == 0
    assert "Digest" not in planned(repository)
    assert merged(repository).returncode == 0


def test_a_push_past_the_pull_request_applies_nothing(repository: Repository) -> None:
    repository.keep("pulls", [])
    repository.spec(8085)
    done = merged(repository)
    assert done.returncode == 1
    assert "nobody approved its plan" in done.stdout


def test_a_spec_with_mistakes_fails_the_pull_request(repository: Repository) -> None:
    repository.spec(80850)
    done = repository.run(github("plan", "Plan"), NUMBER="7")
    assert done.returncode == 2
    assert repository.kept("comments") == []


def test_azure_plans_comments_and_applies(repository: Repository) -> None:
    repository.spec(8086)
    done = repository.run(azure("Plan"))
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if "task.setvariable variable=digest;isOutput=true" in line)
    digest = line.rpartition("]")[2]
    told = {
        "SYSTEM_COLLECTIONURI": "https://dev.azure.com/acme/",
        "SYSTEM_TEAMPROJECT": "edge",
        "BUILD_REPOSITORY_ID": "r1",
        "SYSTEM_PULLREQUEST_PULLREQUESTID": "7",
        "SYSTEM_ACCESSTOKEN": "t",
    }
    assert repository.run(azure("Comment"), **told).returncode == 0
    assert "8086" in repository.kept("thread-sent")["comments"][0]["content"]
    where = (repository.folder / "url").read_text().strip()
    assert where == "https://dev.azure.com/acme/edge/_apis/git/repositories/r1/pullRequests/7/threads?api-version=7.1"
    done = repository.run(azure("Apply what was approved"), DIGEST=digest, BUILD_BUILDID="42")
    assert done.returncode == 0, done.stdout + done.stderr
    assert repository.exposed() == "8086"
    repository.spec(8087)
    done = repository.run(azure("Apply what was approved"), DIGEST=digest, BUILD_BUILDID="43")
    assert done.returncode == 1


def test_what_a_pull_request_runs_holds_no_secret() -> None:
    """Whoever may push a branch can change what it runs, and a policy that reads twins writes them too."""
    job = yaml.safe_load((FOLDER / "github-actions.yaml").read_text())["jobs"]["plan"]
    assert "secrets." not in json.dumps(job)
    stage = yaml.safe_load((FOLDER / "azure-pipelines.yaml").read_text())["stages"][0]
    assert "group" not in json.dumps(stage)
    assert "IOTHUB_CONNECTION_STRING" not in json.dumps(stage)
