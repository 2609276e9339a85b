"""The on-device module: turns the desired properties of its twin into Services and reports back.

Pure files decide (parsing, allocation, planning, reporting), the controller runs the loop, `adapters/` talk to the hub,
the cluster and the disk. Never imports the cloud side.
"""
