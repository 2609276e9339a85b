"""For tests of other projects: a hub as a process of its own, and pytest fixtures around it (README.md shows them)."""
