"""`python -m edge_expose_local.cluster`: serves one local cluster until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import signal
import sys
from pathlib import Path

from ..damage import UNREADABLE, Damaged
from .cluster import Cluster, Settings
from .kinds.profiles import PROFILES
from .metallb.pools import ConfigError, parse_element


def _settings(argv: list[str]) -> Settings:
    parser = argparse.ArgumentParser(prog="python -m edge_expose_local.cluster")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--kube-port", type=int, default=0)
    parser.add_argument("--dns-port", type=int, default=0)
    parser.add_argument("--pool", default="127.77.0.10-127.77.0.20")
    parser.add_argument("--service-cidr", default="127.78.0.0/16")
    parser.add_argument("--pod-cidr", default="10.244.0.0/16")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="1.36")
    parser.add_argument("--allow-non-loopback", action="store_true")
    arguments = parser.parse_args(argv)
    try:
        address = ipaddress.ip_address(arguments.address)
        services = ipaddress.IPv4Network(arguments.service_cidr)
        ipaddress.IPv4Network(arguments.pod_cidr)
        networks = [
            network
            for part in arguments.pool.split(",")
            for network in parse_element(part.strip(), legacy=not PROFILES[arguments.profile].crd_pools)
        ]
    except (ValueError, ConfigError) as error:
        parser.error(str(error))
    if not arguments.allow_non_loopback:
        outside = [str(n) for n in [*networks, services] if n.version == 4 and not n.is_loopback]
        if not address.is_loopback or outside:
            found = ", ".join(outside) or arguments.address
            parser.error(f"{found} is not loopback; --allow-non-loopback permits it")
    return Settings(
        state=arguments.state.resolve(),
        address=arguments.address,
        kube_port=arguments.kube_port,
        dns_port=arguments.dns_port,
        pool=arguments.pool,
        service_cidr=arguments.service_cidr,
        pod_cidr=arguments.pod_cidr,
        profile=PROFILES[arguments.profile],
        allow_non_loopback=arguments.allow_non_loopback,
    )


async def _serve(settings: Settings) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.set_exception_handler(
        lambda _, context: print(f"cluster: {context.get('message')}", file=sys.stderr, flush=True)
    )
    try:
        cluster = Cluster(settings)
        ports = await cluster.start()
    except UNREADABLE as error:
        print(f"cluster: cannot start: {Damaged(settings.state, error)}", file=sys.stderr, flush=True)
        return 2
    except OSError as error:
        print(f"cluster: cannot start: {error}", file=sys.stderr, flush=True)
        return 1
    print(json.dumps({"ready": True, "ports": ports}), flush=True)
    await stop.wait()
    await cluster.stop()
    return 0


def main() -> int:
    """Run until told to end; returns the exit code."""
    return asyncio.run(_serve(_settings(sys.argv[1:])))


if __name__ == "__main__":
    sys.exit(main())
