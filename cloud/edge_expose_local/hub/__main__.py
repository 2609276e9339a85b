"""`python -m edge_expose_local.hub`: runs the local hub until SIGTERM. One JSON line on stdout says that it serves."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import json
import logging
import signal
import sys
from pathlib import Path

from edge_expose_local.damage import UNREADABLE, Damaged
from edge_expose_local.hub.hub import Ports
from edge_expose_local.hub.server import Arguments, Server


def parse(argv: list[str]) -> Arguments:
    """Exits with 2 on bad arguments, also on an address beyond this machine without the word for it."""
    parser = argparse.ArgumentParser(prog="python -m edge_expose_local.hub", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder that keeps everything (made with mode 0700)")
    parser.add_argument("--address", default="127.0.0.1", help="IP address to listen on (default %(default)s)")
    for name in ("https", "mqtt", "proxy", "workload"):
        parser.add_argument(f"--{name}-port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--allow-non-loopback", action="store_true", help="let others reach this hub")
    values = parser.parse_args(argv)
    try:
        address = ipaddress.ip_address(values.address)
    except ValueError:
        parser.error(f"--address {values.address} is no IP address")
    if not address.is_loopback and not values.allow_non_loopback:
        parser.error(f"--address {values.address} is not a loopback address; --allow-non-loopback overrides this")
    ports = Ports(values.https_port, values.mqtt_port, values.proxy_port, values.workload_port)
    return Arguments(values.state.absolute(), values.address, ports)


async def run(arguments: Arguments) -> int:
    """Serves until SIGTERM or SIGINT; 1 when a port is taken, 2 when its state cannot be read."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        server = Server(arguments)
        ports = await server.start()
    except UNREADABLE as error:
        logging.getLogger("edge_expose_local.hub").error("cannot start: %s", Damaged(arguments.state, error))
        return 2
    except OSError as error:
        logging.getLogger("edge_expose_local.hub").error("cannot start: %s", error)
        return 1
    named = {"https": ports.https, "mqtt": ports.mqtt, "proxy": ports.proxy, "workload": ports.workload}
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps({"ready": True, "ports": named}) + "\n")
        sys.stdout.flush()
    await stop.wait()
    await server.stop()
    return 0


def main() -> int:
    arguments = parse(sys.argv[1:])
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return asyncio.run(run(arguments))


if __name__ == "__main__":
    raise SystemExit(main())
