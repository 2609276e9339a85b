"""Runs pods as processes, and says which images it can run. Does I/O."""
