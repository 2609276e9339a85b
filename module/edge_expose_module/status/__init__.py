"""What became of every exposure, and how it is told: states, reasons, the report, probes.

`reporter` and `probes` do I/O, through the twin and the probe they are given; the rest is pure.
"""
