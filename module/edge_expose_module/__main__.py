"""Starts the module: settings, adapters, the loop. Ends with 0 on SIGTERM, 1 by the watchdog, 2 on bad settings."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from edge_expose_contract.identity import owner_id
from edge_expose_module import logs
from edge_expose_module.adapters import key_folder, sockets
from edge_expose_module.adapters.health import HealthServer, Metrics
from edge_expose_module.adapters.iothub_twin import IoTHubTwin
from edge_expose_module.adapters.kubernetes_api import KubernetesApi, NoCluster
from edge_expose_module.adapters.metrics import MetricsMeasures
from edge_expose_module.adapters.probe import probe
from edge_expose_module.adapters.sign_in import SignIn, read_sign_in
from edge_expose_module.adapters.state_file import StateFile
from edge_expose_module.controller import Controller, Identity
from edge_expose_module.methods import Methods
from edge_expose_module.settings import BadSettings, Settings, read_settings

log = logging.getLogger("edge_expose_module")

# No pass ends for this long: something below us is stuck in a way we cannot mend; the agent restarts us.
WATCHDOG_SECONDS = 600.0
# Writes side by side: more make the API server of a small device wait for its disk.
WRITERS = 8
# Each call into a hub client that is stuck holds a thread until it comes back; asyncio's own choice on a two-core
# device, six, would leave none for the cluster.
_THREADS = 32


def main() -> None:
    recent = logs.set_up()
    faulthandler.enable()
    sockets.set_up()
    try:
        settings = read_settings(os.environ)
        logging.getLogger().setLevel(settings.log_level)
        keys = key_folder.make(settings.state_dir)
        cluster = KubernetesApi(settings.kubeconfig, keys)
        sign_in = read_sign_in(os.environ)
        identity = _identity(settings, cluster, sign_in)
    except BadSettings as error:
        for problem in error.problems:
            log.error("bad setting %s", problem)
        sys.exit(2)
    except (NoCluster, key_folder.NoRoom) as error:
        log.error("cannot start: %s", error)
        sys.exit(2)
    metrics = Metrics()
    twin = IoTHubTwin(sign_in, settings.sas_ttl_seconds)
    controller = Controller(
        identity,
        cluster,
        twin,
        StateFile(settings.state_dir),
        settings.guards,
        MetricsMeasures(metrics),
        probe,
        resync_seconds=settings.resync_seconds,
        load_balancer_namespace=settings.load_balancer_namespace,
        writers=WRITERS,
    )
    methods = Methods(controller, probe, lambda: list(recent.lines))
    health = _start_health(settings, metrics, controller)
    _start_watchdog(controller)

    def leave() -> NoReturn:
        if health is not None:
            health.stop()
        key_folder.remove(keys)
        logging.shutdown()
        os._exit(0)

    asyncio.run(_run(controller, methods, leave))


async def _run(controller: Controller, methods: Methods, leave: Callable[[], NoReturn]) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, "worker"))
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, controller.stop)
    log.info("edge-expose %s: owner %s", controller.identity.version, controller.identity.owner)
    await controller.run(methods.handle)
    log.info("stopped")
    # From inside the loop: its end would wait for every thread, and one of the hub client may hang in a connection to a
    # hub that is away for longer than whoever stops us waits.
    leave()


def _identity(settings: Settings, cluster: KubernetesApi, sign_in: SignIn) -> Identity:
    owner = owner_id(sign_in.hub, sign_in.device, sign_in.module)
    namespace = settings.namespace or cluster.context_namespace() or "default"
    try:
        release = version("edge-expose")
    except PackageNotFoundError:
        release = "0.0.0+source"
    return Identity(owner, release, namespace, f"{sign_in.hub.lower()}/{sign_in.device}/{sign_in.module}")


def _start_health(settings: Settings, metrics: Metrics, controller: Controller) -> HealthServer | None:
    if settings.http is None:
        return None

    def alive() -> tuple[bool, str]:
        return controller.is_alive(WATCHDOG_SECONDS), f"{controller.passes} passes"

    def ready() -> tuple[bool, str]:
        if controller.passes == 0:
            return False, "no pass yet"
        return not controller.result.cluster_error, controller.result.cluster_error or "ok"

    try:
        return HealthServer(settings.http, metrics, alive, ready)
    except OSError as error:
        log.error("health endpoint %s:%d cannot be opened: %s", *settings.http, error)
        return None


def _start_watchdog(controller: Controller) -> None:
    def watch() -> None:
        while True:
            time.sleep(10.0)
            if not controller.is_alive(WATCHDOG_SECONDS):
                log.critical("no sign of life for %.0f s: ending, so that the agent restarts us", WATCHDOG_SECONDS)
                faulthandler.dump_traceback(all_threads=True)
                os._exit(1)

    threading.Thread(target=watch, name="watchdog", daemon=True).start()


if __name__ == "__main__":
    main()
