"""The one door to load balancers: nothing outside this package knows their objects, annotations, limits or texts.

`detect.py` finds out which one hands out addresses and what its pools are; it reads through the `Reads` it is given.
Everything else is pure: `api.py` states what the module asks of a load balancer, `pools.py` who may draw from a pool,
`sharing.py` who may share an address, and one file (MetalLB: two) answers for each implementation. A new one is a new
file and a line in `detect.py`.
"""
