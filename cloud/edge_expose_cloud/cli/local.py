"""The commands `edge-expose local ...`: the embedded stand-in for IoT Hub, edge runtime and cluster.

The only file of the cloud side that imports the stand-in.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.options import Output
from edge_expose_cloud.cli.shared.output import Format, data, escape, out, say, show_error, table
from edge_expose_local import settings, supervisor
from edge_expose_local.control_client import ControlError
from edge_expose_local.damage import Damaged
from edge_expose_local.device_names import namespace_of
from edge_expose_local.instance import Instance, InstanceError
from edge_expose_local.settings import BadSettings, LocalSettings, PortTaken

P = ParamSpec("P")

app = new_app(
    no_args_is_help=True,
    help="Run IoT Hub, edge runtime and cluster on this machine. Unmodified clients connect to them, and exposed "
    "addresses answer."
    "\n\nExample: edge-expose local up --detach",
)
pool_app = new_app(no_args_is_help=True, help="The load balancer's range, as its owner sets it.")
pod_app = new_app(no_args_is_help=True, help="Pods beside the modules, as a scheduler moves them.")
devices_app = new_app(no_args_is_help=True, help="More devices.")
app.add_typer(pool_app, name="pool")
app.add_typer(pod_app, name="pod")
app.add_typer(devices_app, name="devices")

State = Annotated[
    Path | None,
    typer.Option(
        "--state", metavar="DIR", help="State folder, one for each instance. Default: $XDG_STATE_HOME/edge-expose."
    ),
]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the pod, or the id of its device.")]


def told(command: Callable[P, None]) -> Callable[P, None]:
    """The command, with what can go wrong said in one line: 1 something outside, 2 the arguments."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except BadSettings as error:
            show_error(str(error))
            raise typer.Exit(2) from None
        except (InstanceError, ControlError, Damaged, PortTaken) as error:
            show_error(str(error))
            raise typer.Exit(2 if isinstance(error, ControlError) and error.status in (400, 404, 422) else 1) from None
        except BrokenPipeError:
            raise
        except OSError as error:
            # The state folder is the one thing of this machine that these commands touch.
            where = f"{error.filename}: " if error.filename else ""
            show_error(where + (error.strerror or str(error)))
            raise typer.Exit(1) from None

    return run


def instance(state: Path | None) -> Instance:
    return Instance((state or settings.default_state()).expanduser().absolute())


@app.command()
@told
def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return as soon as everything is up.")] = False,
    state: State = None,
    address: Annotated[
        str | None, typer.Option("--address", metavar="IP", help="IP address on which hub and API listen.")
    ] = None,
    https_port: Annotated[
        int, typer.Option("--https-port", help="Port of IoT Hub's service API. Default: a free one.")
    ] = 0,
    mqtt_port: Annotated[int, typer.Option("--mqtt-port", help="Port of MQTT over TLS. Default: a free one.")] = 0,
    kube_port: Annotated[int, typer.Option("--kube-port", help="Port of the Kubernetes API. Default: a free one.")] = 0,
    pool: Annotated[
        str | None, typer.Option("--pool", metavar="RANGE", help=f"External service IPs; {settings.DEFAULT_POOL}.")
    ] = None,
    service_cidr: Annotated[
        str | None,
        typer.Option("--service-cidr", metavar="CIDR", help=f"Cluster IPs; {settings.DEFAULT_SERVICE_CIDR}."),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="1.36|1.20",
            help="Combination to behave like: Kubernetes 1.36.3 with MetalLB 0.16.1, or 1.20.15 with 0.10.3.",
        ),
    ] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option("--kubeconfig", metavar="FILE", help="Use this cluster; only hub and runtime start.")
    ] = None,
    allow_non_loopback: Annotated[
        bool, typer.Option("--allow-non-loopback", help="Allow an --address that other machines can reach.")
    ] = False,
) -> None:
    """Start everything; in the foreground until Ctrl-C, or --detach. Existing state is resumed.

    Example: edge-expose local up --detach
    """
    target = instance(state)
    local = settings.load(target.state) or LocalSettings()
    given: dict[str, Any] = {
        name: value
        for name, value in {
            "address": address,
            "https_port": https_port,
            "mqtt_port": mqtt_port,
            "kube_port": kube_port,
            "pool": pool,
            "service_cidr": service_cidr,
            "profile": profile,
            "kubeconfig": str(kubeconfig.absolute()) if kubeconfig is not None else None,
            "allow_non_loopback": allow_non_loopback or None,
        }.items()
        if value
    }
    local = target.prepare(replace(local, **given))
    if detach:
        target.up_detached()
        _tell_up(target)
        return
    held = supervisor.lock(target.state)
    if held is None:
        raise InstanceError(f"an instance runs already with {target.state}")
    local = settings.load(target.state) or local  # under the lock: nobody stores others any more
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    code = asyncio.run(supervisor.supervise(target.state, local, lambda: _tell_up(target)))
    if code:
        raise typer.Exit(code)


def _tell_up(target: Instance) -> None:
    target.await_module()
    parts = target.status()["parts"]
    for part in parts:
        ports = ", ".join(f"{name} {number}" for name, number in part["ports"].items() if number)
        say(f"{part['name']}: {part['state']}" + (f" ({ports})" if ports else "") + _trouble(part))
    extra = f" --state {target.state}" if target.state != settings.default_state().absolute() else ""
    deployed = any(part["name"] == "module" and part["state"] != "not deployed" for part in parts)
    first = "edge-expose init app.yaml && edge-expose apply app.yaml --wait"
    then = "edge-expose status" if deployed else first
    say(f'next: eval "$(edge-expose local env{extra})"; {then}')


def _trouble(part: dict[str, Any]) -> str:
    """What the runtime says of a module that does not run."""
    return f": {part['description']}" if part["state"] != "running" and part.get("description") else ""


@app.command()
@told
def down(
    wipe: Annotated[
        bool, typer.Option("--wipe", help="Also delete devices, twins, Services and settings; keep backups.")
    ] = False,
    state: State = None,
) -> None:
    """Stop everything. State is kept on disk unless --wipe is given.

    Example: edge-expose local down --wipe
    """
    ran = instance(state).down(wipe=wipe)
    say(("stopped" if ran else "nothing was running") + (", state removed" if wipe else ""))


@app.command()
@told
def env(
    state: State = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy", metavar="NAME", help="Sign in by a policy with fewer rights, such as service or registryRead."
        ),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Print what clients need, as shell lines; -o json for programs.

    Example: eval "$(edge-expose local env)"
    """
    target = instance(state)
    found = target.environment()
    if policy is not None:
        policies = target.policies()
        if policy not in policies:
            raise BadSettings(f"--policy {policy} is not known: there are {', '.join(sorted(policies))}")
        found["IOTHUB_CONNECTION_STRING"] = policies[policy]
    if output is not Format.TABLE:
        data(found, output)
        return
    for name, value in found.items():
        typer.echo(f"export {name}='{value}'")


@app.command()
@told
def status(state: State = None, output: Output = Format.TABLE) -> None:
    """Show the parts: hub, cluster, runtime, and our module on each device.

    Example: edge-expose local status -o json
    """
    found = instance(state).status()
    if output is not Format.TABLE:
        data(found, output)
    if not found["running"]:
        say("nothing is running; edge-expose local up starts it")
        raise typer.Exit(1)
    if output is not Format.TABLE:
        return
    rows = [
        (
            part["name"],
            part["state"],
            str(part["pid"] or "-"),
            ", ".join(f"{name} {number}" for name, number in part["ports"].items() if number) or "-",
            str(part.get("restarts", 0)),
        )
        for part in found["parts"]
    ]
    out().print(table(("PART", "STATE", "PID", "PORTS", "RESTARTS"), rows))
    for part in found["parts"]:
        if told := _trouble(part):
            say(f"! {part['name']}{told}")
    if found["unbound"]:
        unbound = [
            (f"{item['ip']}:{item['port']}/{item['protocol']}", item["service"], item["error"])
            for item in found["unbound"]
        ]
        out().print(table(("! CANNOT LISTEN ON", "SERVICE", "WHY"), unbound))


@pool_app.command("set")
@told
def pool_set(
    ranges: Annotated[str, typer.Argument(metavar="RANGE", help="Range as A-B or CIDR; separate several by commas.")],
    state: State = None,
) -> None:
    """Change the load balancer's range, as the device's owner would on the Compute network page.

    Example: edge-expose local pool set 127.77.0.10-127.77.0.30
    """
    instance(state).set_pool(ranges)
    say(f"the pool is now {ranges}")


@pod_app.command("run")
@told
def pod_run(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    label: Annotated[
        list[str], typer.Option("--label", "-l", metavar="K=V", help="Pod label; repeat the option for several.")
    ],
    port: Annotated[
        int, typer.Option("--port", "-p", metavar="N", min=1, max=65535, help="Port the pod listens on.")
    ] = 8080,
    protocol: Annotated[str, typer.Option("--protocol", help="TCP or UDP.")] = "TCP",
    namespace: Namespace = settings.DEVICE,
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- CMD...]", help="Command to run; it listens on $EDGE_EXPOSE_LISTEN. Default: an echo server."
        ),
    ] = None,
    state: State = None,
) -> None:
    """Run a pod with these labels and check briefly that it keeps running; exit 1 if it does not.

    Example: edge-expose local pod run ws-1 --label app=ws --port 80
    """
    labels = dict(_pair(text) for text in label)
    if protocol.upper() not in ("TCP", "UDP"):
        raise BadSettings(f"--protocol {protocol} is not carried: give TCP or UDP")
    body = {"labels": labels, "port": port, "protocol": protocol.upper()}
    if command:
        body |= {"command": command, "workingDir": str(Path.cwd())}
    where = namespace_of(namespace)
    listens = instance(state).run_pod(where, name, body)
    say(f"pod {where}/{name} runs" + ("" if listens else f", but nothing listens on {port} in it yet"))


@pod_app.command("replace")
@told
def pod_replace(
    name: Annotated[str, typer.Argument(metavar="NAME")], namespace: Namespace = settings.DEVICE, state: State = None
) -> None:
    """Delete a pod (or that of a module) and create it again with a new IP, as a reboot or a scheduler does.

    Example: edge-expose local pod replace ws-1
    """
    answer = instance(state).cluster("POST", "/pods/replace", {"namespace": namespace_of(namespace), "name": name})
    say(f"pod {namespace_of(namespace)}/{answer['name']}: {answer.get('before')} is now {answer.get('podIP')}")


@pod_app.command("delete")
@told
def pod_delete(
    name: Annotated[str, typer.Argument(metavar="NAME")], namespace: Namespace = settings.DEVICE, state: State = None
) -> None:
    """Delete a pod. One that a module needs comes back, as edgeAgent makes it again.

    Example: edge-expose local pod delete ws-1
    """
    answer = instance(state).cluster("DELETE", "/pods", {"namespace": namespace_of(namespace), "name": name})
    say(f"pod {answer['deleted']} deleted")


@devices_app.command("add")
@told
def devices_add(
    ids: Annotated[list[str], typer.Argument(metavar="ID...")],
    simulated: Annotated[
        bool,
        typer.Option("--simulated", help="Simulate the devices: they accept and report documents, but run nothing."),
    ] = False,
    count: Annotated[
        int, typer.Option("--count", metavar="N", min=1, max=10000, help="With --simulated: create ID-0001 to ID-N.")
    ] = 1,
    state: State = None,
) -> None:
    """Add edge devices, each with a namespace of its own: the device id, or a name derived from it.

    Example: edge-expose local devices add edge2 edge3
    """
    if count > 1 and not simulated:
        raise BadSettings("--count is for --simulated devices")
    names = [f"{name}-{number:04d}" for name in ids for number in range(1, count + 1)] if count > 1 else ids
    if simulated:
        instance(state).add_simulated(names)
    else:
        namespaces = instance(state).add_devices(names)
        for name, namespace in namespaces.items():
            if namespace != name:
                say(f"namespace of {name}: {namespace}")
    say(f"devices: {', '.join(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else ""))


@app.command()
@told
def fault(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Fault to inject.")] = None,
    options: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE...]", help="Options of the fault.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Clear all faults.")] = False,
    state: State = None,
    output: Output = Format.TABLE,
) -> None:
    """Inject a fault into hub or cluster; without a name, list them.

    Example: edge-expose local fault http-status status=429 count=3
    """
    target = instance(state)
    if clear:
        if name is not None:
            raise BadSettings(f"--clear takes all faults back, and no name: leave {name!r} out")
        target.clear_faults()
        if output is not Format.TABLE:
            data({"set": target.faults()["set"]}, output)
        say("all faults taken back")
        return
    if name is None:
        found = target.faults()
        if output is not Format.TABLE:
            data(found, output)
            return
        rows = [
            (part, key, _in_force(found["set"][part], key), escape(text))
            for part, names in found["known"].items()
            for key, text in sorted(names.items())
        ]
        out().print(table(("PART", "FAULT", "SET", "WHAT IT DOES"), rows))
        return
    answer = target.fault(name, {key: _value(text) for key, text in (_pair(option) for option in options or [])})
    if output is not Format.TABLE:
        data(answer, output)
    if "set" in answer:
        say(f"fault {name} is set; edge-expose local fault --clear takes it back")
    else:
        say(f"fault {name}: " + ", ".join(f"{key} {value}" for key, value in answer.items()))


def _in_force(faults: list[dict[str, Any]], name: str) -> str:
    """`2 left` or the options of a fault that is set, `-` for one that is not."""
    told = []
    for item in faults:
        if item["name"] == name:
            options = [f"{key}={json.dumps(value)}" for key, value in item.items() if key not in ("name", "remaining")]
            left = item.get("remaining", -1)
            told.append(" ".join([*options, *([f"{left} left"] if left >= 0 else [])]) or "yes")
    return escape("; ".join(told)) or "-"


@app.command()
@told
def demo(
    once: Annotated[bool, typer.Option("--once", help="Check the URL, stop everything and exit.")] = False,
    state: State = None,
) -> None:
    """The whole loop: start everything, apply the sample spec, wait, and print a URL that answers.

    Example: edge-expose local demo --once
    """
    from edge_expose_cloud.cli.local_demo import run_demo

    code = run_demo(state, once)
    if code:
        raise typer.Exit(code)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise BadSettings(f"{text!r} is not of the form KEY=VALUE")
    return key, value


def _value(text: str) -> Any:
    """Numbers and true/false as such, the rest as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
