"""An instance as a person handles it: up, down, killed, given wrong options, looked at."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_expose_local import supervisor
from edge_expose_local.device_names import namespace_of
from edge_expose_local.runtime.kube import Kube
from support.hub import ROOT, child_environment
from support.local import Local
from support.lots import own
from support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.local
LOT = own()
OPTIONS = ("--pool", LOT.pool, "--service-cidr", LOT.service_cidr)


def start(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    """`edge-expose local ...` with `folder` as the current one."""
    return subprocess.Popen(
        [sys.executable, "-m", "edge_expose_cloud", "local", *arguments],
        cwd=folder,
        env=child_environment(HOME=str(folder), COLUMNS="160"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str, folder: Path) -> tuple[int, str, str]:
    """(exit code, stdout, stderr)."""
    child = start(*arguments, folder=folder)
    data, talk = child.communicate(timeout=120)
    return child.returncode, data, talk


def local_run(local: Local, *arguments: str) -> tuple[int, str, str]:
    """The same for the instance that the tests share."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    where = ("--state", str(local.instance.state))
    return run(*arguments[:end], *where, *arguments[end:], folder=local.folder.parent)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """The state folder of an instance that is down when the test begins, and afterwards."""
    state = tmp_path / "s"
    yield state
    run("down", "--state", str(state), folder=tmp_path)


def test_up_after_the_supervisor_was_killed_returns_when_all_of_it_serves(state: Path, tmp_path: Path) -> None:
    up = ("up", "--detach", "--state", str(state), *OPTIONS)
    code, _, talk = run(*up, folder=tmp_path)
    assert code == 0, talk
    old = supervisor.read_status(state)
    os.kill(old["pid"], signal.SIGKILL)
    eventually(lambda: not supervisor.locked(state))
    assert supervisor.read_status(state)["ready"] is True, "it left its last word behind"
    code, _, talk = run(*up, folder=tmp_path)
    assert code == 0, talk
    for part in ("hub: running", "cluster: running", "runtime: running"):
        assert part in talk
    new = supervisor.read_status(state)
    assert new["pid"] != old["pid"]
    for part in new["parts"]:
        for port in part["ports"].values():
            socket.create_connection(("127.0.0.1", port), 2.0).close()


def test_of_two_ups_at_once_one_serves_and_the_other_says_that_it_runs(state: Path, tmp_path: Path) -> None:
    ups = [start("up", "--detach", "--state", str(state), *OPTIONS, folder=tmp_path) for _ in range(2)]
    talks = [child.communicate(timeout=120)[1] for child in ups]
    assert sorted(child.returncode for child in ups) == [0, 1], talks
    loser = next(talk for child, talk in zip(ups, talks, strict=True) if child.returncode)
    assert f"an instance runs already with {state}" in loser
    assert supervisor.locked(state)


@pytest.mark.parametrize("said", ["starting IoT Hub", "up after"])
def test_ctrl_c_ends_a_demo_that_is_still_coming_up(said: str, state: Path, tmp_path: Path) -> None:
    (tmp_path / "deployment-manifests").symlink_to(ROOT / "deployment-manifests")
    demo = start("demo", "--state", str(state), folder=tmp_path)
    assert demo.stderr is not None
    while said not in demo.stderr.readline():
        assert demo.poll() is None
    demo.send_signal(signal.SIGINT)
    _, talk = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 130
    assert "taking everything down" in talk
    assert "✗" not in talk
    assert not supervisor.locked(state)


def test_wrong_options_end_at_once_and_are_not_kept(state: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for wrong, code, told in (
            (("--pool", "banana"), 2, "--pool banana"),
            (("--pool", "10.0.0.1-10.0.0.5"), 2, "--allow-non-loopback"),
            (("--https-port", "99999"), 2, "--https-port 99999"),
            (("--https-port", port), 1, f"127.0.0.1:{port}"),
        ):
            found, _, talk = run("up", "--detach", "--state", str(state), *wrong, folder=tmp_path)
            assert (found, told in talk) == (code, True), talk
            assert not (state / "local.json").exists()


@pytest.mark.parametrize("detach", [("--detach",), ()], ids=["detached", "in the foreground"])
def test_a_part_that_cannot_start_is_named_with_what_it_said_last(
    detach: tuple[str, ...], state: Path, tmp_path: Path
) -> None:
    state.mkdir()
    (state / "cluster").write_text("in the way of the folder")
    code, _, talk = run("up", *detach, "--state", str(state), *OPTIONS, folder=tmp_path)
    assert code == 1
    assert "the part cluster does not come up: it ended 3 times" in talk
    assert f"cannot start: [Errno 17] File exists: '{state / 'cluster'}'" in talk
    (state / "cluster").unlink()
    assert run("up", "--detach", "--state", str(state), *OPTIONS, folder=tmp_path)[0] == 0


@pytest.mark.parametrize("where", ["/proc/nope", "/etc/passwd", "/etc/passwd/below"])
def test_a_state_folder_that_cannot_be_one_is_an_error_in_one_line(where: str, tmp_path: Path) -> None:
    code, _, talk = run("up", "--detach", "--state", where, folder=tmp_path)
    assert (code, talk.count("\n")) == (2, 1)
    assert f"--state {where} cannot be a state folder" in talk
    for command in (("status",), ("env",), ("down",), ("pool", "set", "127.1.0.1-127.1.0.2"), ("devices", "add", "d")):
        code, _, talk = run(*command, "--state", where, folder=tmp_path)
        assert code in (0, 1, 2)
        assert "internal error" not in talk


def test_status_ends_with_1_when_nothing_runs_in_every_form(tmp_path: Path) -> None:
    where = ("--state", str(tmp_path / "none"))
    assert run("status", *where, folder=tmp_path)[0] == 1
    code, data, _ = run("status", "-o", "json", *where, folder=tmp_path)
    assert (code, json.loads(data)) == (1, {"parts": [], "running": False, "unbound": []})


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """An instance that serves, brought up in a folder with files that are called like modules of ours."""
    folder = tmp_path_factory.mktemp("instance")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("dns.py", "yaml.py", "json.py", "azure.py", "kubernetes.py", "edge_expose_module.py"):
            (folder / name).write_text("raise SystemExit('taken from the current folder')\n")
        patch.chdir(folder)
        patch.setenv("PYTHONPATH", f":{ROOT / 'module'}:{ROOT / 'cloud'}")
        instance = Local(folder)
    yield instance
    instance.stop()


def test_files_in_the_folder_where_up_ran_are_none_of_our_modules(local: Local) -> None:
    local.deploy(
        {"web": {"module": "webserver", "ports": [{"port": 8080, "targetPort": 80}], "address": local.address(15)}}
    )
    local.wait_for("web", "Ready")
    assert [part["state"] for part in local.instance.status()["parts"]] == ["running"] * 4


def test_what_cannot_be_bound_is_said_in_status(local: Local) -> None:
    address = local.address(19)
    with socket.socket() as taken:
        taken.bind((address, 18099))
        taken.listen()
        spec = {"type": "LoadBalancer", "loadBalancerIP": address, "ports": [{"port": 18099}]}
        body = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "taken", "namespace": "edge1"},
            "spec": spec,
        }
        Kube(local.instance.state / "cluster" / "kubeconfig").call("POST", "/api/v1/namespaces/edge1/services", body)
        unbound = eventually(lambda: json.loads(local_run(local, "status", "-o", "json")[1])["unbound"])
        assert unbound == [
            {
                "ip": address,
                "port": 18099,
                "protocol": "TCP",
                "service": "edge1/taken",
                "error": "Address already in use",
            }
        ]
        _, data, _ = local_run(local, "status")
        assert f"{address}:18099/TCP" in data
        assert "edge1/taken" in data
        assert "Address already in use" in data
    eventually(lambda: not local.instance.status()["unbound"])


def test_a_pool_beyond_this_machine_is_refused_as_up_refuses_it(local: Local) -> None:
    code, _, talk = local_run(local, "pool", "set", "10.0.0.1-10.0.0.5")
    assert code == 2
    assert "10.0.0.1-10.0.0.5 is not loopback" in talk
    assert "--allow-non-loopback" in talk
    assert local_run(local, "pool", "set", "banana")[0] == 2
    pool = f"{local.address(10)}-{local.address(20)}"
    assert local_run(local, "pool", "set", pool)[0] == 0


def test_up_tells_of_a_module_that_is_deployed_already(local: Local) -> None:
    local.instance.down()
    code, _, talk = local_run(local, "up", "--detach")
    assert code == 0, talk
    assert "module: running" in talk
    assert "not deployed" not in talk
    assert "apply" not in talk
    assert "edge-expose status" in talk


def test_a_device_whose_id_is_no_namespace_works_in_one_made_of_it(local: Local) -> None:
    code, _, talk = local_run(local, "devices", "add", "Edge_3.x@y", "edge4")
    assert code == 0, talk
    namespace = namespace_of("Edge_3.x@y")
    assert f"namespace of Edge_3.x@y: {namespace}" in talk
    assert "namespace of edge4" not in talk
    spec = {
        "schemaVersion": "1.0",
        "name": "odd",
        "target": {"device": "Edge_3.x@y"},
        "modules": {"webserver": {"image": "edge-expose/sample-web:1"}},
        "exposures": {"odd": {"module": "webserver", "ports": ["8080:80"], "address": local.address(18)}},
    }
    local.run("apply", "-", "--yes", stdin=json.dumps(spec))
    entry = eventually(lambda: (e := local.status("Edge_3.x@y").get("odd", {})).get("state") == "Ready" and e)
    assert entry["service"] == f"{namespace}/odd"
    assert any(part["name"] == "module:Edge_3.x@y" for part in local.instance.status()["parts"])
    assert "invalid" not in (local.instance.state / "runtime.log").read_text()


def pod_run(local: Local, name: str, *more: str) -> tuple[int, str, str]:
    end = more.index("--") if "--" in more else len(more)
    return local_run(local, "pod", "run", name, "--label", f"app={name}", *more[:end], *more[end:])


def test_a_pod_that_ends_at_once_is_no_pod_that_runs(local: Local) -> None:
    for number, protocol in enumerate(("TCP", "UDP")):
        code, _, talk = pod_run(local, f"false-{number}", "--protocol", protocol, "--", "/bin/false")
        assert (code, "its command ended with 1" in talk) == (1, True), talk
    code, _, talk = pod_run(local, "missing", "--", "/nowhere/at-all")
    assert (code, "No such file or directory: '/nowhere/at-all'" in talk) == (1, True), talk
    code, _, talk = pod_run(local, "says-why", "--", "sh", "-c", "echo no database; exit 3")
    assert code == 1
    assert "ended with 3" in talk
    assert "no database" in talk


def test_a_pod_runs_where_the_command_was_typed_and_says_whether_it_listens(local: Local) -> None:
    (local.folder.parent / "serve.sh").write_text("exec sleep 60\n")
    code, _, talk = pod_run(local, "silent", "--", "sh", "serve.sh")
    assert (code, "runs, but nothing listens on 8080 in it yet" in talk) == (0, True), talk
    code, _, talk = pod_run(local, "echo-1", "--port", "80")
    assert (code, talk) == (0, "pod edge1/echo-1 runs\n")


def test_a_pod_that_cannot_be_is_refused(local: Local) -> None:
    for options, told in (
        (("--protocol", "ICMP"), "--protocol ICMP is not carried: give TCP or UDP"),
        (("--port", "0"), "'--port'"),
        (("--namespace", "nowhere"), "there is no namespace nowhere"),
    ):
        code, _, talk = pod_run(local, "never", *options)
        assert (code, told in talk) == (2, True), talk


def test_faults_are_described_set_listed_and_taken_back(local: Local) -> None:
    known = json.loads(local_run(local, "fault", "-o", "json")[1])["known"]
    assert "drop-watches" in known["cluster"]
    assert all(len(text) > 15 for names in known.values() for text in names.values())
    code, data, _ = local_run(local, "fault", "api-status", "code=503", "count=100000", "-o", "json")
    assert (code, json.loads(data)["set"][0]["name"]) == (0, "api-status")
    local_run(local, "fault", "throttle")
    in_force = json.loads(local_run(local, "fault", "-o", "json")[1])["set"]
    assert in_force["hub"] == [{"name": "throttle"}]
    assert in_force["cluster"][0]["code"] == 503
    table = local_run(local, "fault")[1]
    assert re.search(r"api-status +code=503 \d+ left +answer the next", table)
    assert re.search(r"lb-stopped +- +stop the load balancer", table)
    code, data, _ = local_run(local, "fault", "--clear", "-o", "json")
    assert (code, json.loads(data)) == (0, {"set": {"hub": [], "cluster": []}})
    code, data, talk = local_run(local, "fault", "drop-watches", "-o", "json")
    assert code == 0
    assert f"fault drop-watches: dropped {json.loads(data)['dropped']}" in talk
    code, _, talk = local_run(local, "fault", "nonsense")
    assert (code, "there is no fault 'nonsense'; known: api-down" in talk) == (2, True)
    assert local_run(local, "fault", "api-down")[0] == 2


def test_env_signs_in_by_the_policy_that_is_named(local: Local) -> None:
    usual = json.loads(local_run(local, "env", "-o", "json")[1])
    fewer = json.loads(local_run(local, "env", "--policy", "registryRead", "-o", "json")[1])
    assert all(isinstance(value, str) for value in usual.values()), "an environment, for programs too"
    assert "SharedAccessKeyName=iothubowner;" in usual["IOTHUB_CONNECTION_STRING"]
    assert "SharedAccessKeyName=registryRead;" in fewer["IOTHUB_CONNECTION_STRING"]
    code, _, talk = local_run(local, "env", "--policy", "nobody")
    assert (code, "there are device, iothubowner" in talk) == (2, True)
