"""Light devices for fleets: no cluster and no processes behind them, many on one event loop.

Each is an `$edgeAgent` and an `edge-expose` identity over real MQTT that take what they are sent and report it as done.
"""
