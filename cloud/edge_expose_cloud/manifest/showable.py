"""What may be shown of `$edgeAgent` and `$edgeHub`: a list of what may, not a list of what may not. Pure.

Anything else is a value that somebody may have put a secret into: environments, command lines, labels, health checks,
options of log drivers and mounts, and whatever Docker or IoT Edge adds next year. Keys are always shown.
"""

from __future__ import annotations

from typing import Final

_MODULE: Final = (
    "type",
    "status",
    "restartPolicy",
    "version",
    "imagePullPolicy",
    "startupOrder",
    "settings.image",
    "settings.imageHash",
    # as edgeAgent reports them
    "runtimeStatus",
    "exitCode",
    "statusDescription",
    "lastStartTimeUtc",
    "lastExitTimeUtc",
    "restartCount",
    "lastRestartTimeUtc",
)
_OPTIONS: Final = (
    "ExposedPorts.**",
    "User",
    "WorkingDir",
    "Hostname",
    "Domainname",
    "Tty",
    "OpenStdin",
    "StopSignal",
    "StopTimeout",
    "Volumes.**",
    "NetworkingConfig.EndpointsConfig.*.Aliases",
    "NetworkingConfig.EndpointsConfig.*.IPAMConfig.**",
    *(
        f"HostConfig.{name}"
        for name in (
            *("PortBindings.**", "PublishAllPorts", "NetworkMode", "ExtraHosts", "Dns", "DnsSearch"),
            *("Binds", "Mounts.Type", "Mounts.Source", "Mounts.Target", "Mounts.ReadOnly", "ReadonlyRootfs", "Runtime"),
            *("Memory", "MemorySwap", "MemoryReservation", "ShmSize", "NanoCpus", "CpuShares", "CpuPeriod", "CpuQuota"),
            *("CpusetCpus", "PidsLimit", "Ulimits.**", "OomKillDisable", "OomScoreAdj", "Init", "AutoRemove"),
            *("Privileged", "CapAdd", "CapDrop", "GroupAdd", "Devices.**", "DeviceCgroupRules"),
            *("PidMode", "IpcMode", "UTSMode", "UsernsMode", "RestartPolicy.**", "LogConfig.Type"),
        )
    ),
    "k8s-experimental.serviceOptions.**",
    "k8s-experimental.resources.**",
    "k8s-experimental.nodeSelector.**",
    "k8s-experimental.strategy.**",
)
_TWIN: Final = (
    "schemaVersion",
    "version.**",
    "lastDesiredVersion",
    "lastDesiredStatus.**",
    "configurationHealth.**",
)
_AGENT: Final = (
    *_TWIN,
    "runtime.type",
    "runtime.platform.**",
    "runtime.settings.minDockerVersion",
    "runtime.settings.registryCredentials.*.address",
    "runtime.settings.registryCredentials.*.username",
    *(f"{kind}.*.{name}" for kind in ("modules", "systemModules") for name in _MODULE),
    *(f"{kind}.*.settings.createOptions.{name}" for kind in ("modules", "systemModules") for name in _OPTIONS),
)
_HUB: Final = (
    *_TWIN,
    "routes.*",
    *(f"routes.*.{name}" for name in ("route", "priority", "timeToLiveSecs")),
    "storeAndForwardConfiguration.timeToLiveSecs",
    "storeAndForwardConfiguration.storeLimits.**",
    "mqttBroker.authorizations.**",
    "clients.**",
)

LISTED_TWINS: Final = {"$edgeAgent": _AGENT, "$edgeHub": _HUB}
_PATTERNS: Final = {
    twin: tuple(tuple(pattern.lower().split(".")) for pattern in patterns) for twin, patterns in LISTED_TWINS.items()
}
_DESIRED: Final = "properties.desired"


def steps_of(key: str) -> tuple[str, ...]:
    """The steps of a key into a twin: a layer writes several in one (`properties.desired.modules.web`)."""
    if key == _DESIRED:
        return ()
    return tuple(key.removeprefix(f"{_DESIRED}.").split(".")) if key.startswith(f"{_DESIRED}.") else (key,)


def may_show(path: tuple[str, ...]) -> bool:
    """Whether the value at this path, which begins with the twin, may be shown. Docker and edgeAgent do not mind the
    case of keys."""
    twin, *rest = path
    steps = tuple(step.lower() for step in rest)
    return any(_matches(pattern, steps) for pattern in _PATTERNS[twin])


def _matches(pattern: tuple[str, ...], steps: tuple[str, ...]) -> bool:
    if pattern[-1] == "**":
        head = pattern[:-1]
        return len(steps) >= len(head) and _matches_all(head, steps[: len(head)])
    return len(steps) == len(pattern) and _matches_all(pattern, steps)


def _matches_all(pattern: tuple[str, ...], steps: tuple[str, ...]) -> bool:
    return all(wanted in ("*", step) for wanted, step in zip(pattern, steps, strict=True))
