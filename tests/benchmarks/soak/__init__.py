"""The soak: a randomised run of real processes, and what must hold whenever it pauses.

`world.py` is the device with its cluster; `steps.py` what people and bad luck do to it, `trouble.py` what load balancer
and second writers do, `swaps.py` nothing but exposures that change places; `checks.py` what must hold;
`__main__.py` runs it.
"""
