"""Benchmarks: each measures ours and a peer (another program, or a limit) in the same run, on the same machine.

A module `benchmarks/bench_*.py` exposes `def measure() -> list[Row]`; `python -m benchmarks.run` finds it.
"""
