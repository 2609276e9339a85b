"""The document both sides sign: what a twin may ask for and what a module reports.

Models, addressing, ports, names, limits and validation. pydantic and the standard library only; nothing here does I/O.
"""
