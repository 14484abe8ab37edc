"""Benchmarks: each measures against a limit or a peer in the same run. `python -m bench`."""
