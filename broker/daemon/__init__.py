"""What the broker does by itself, beside its API: cycles when something changed, sweeps and hourly work by the clock.

Owns no table. `processes` starts one daemon in each process that serves. Invariants: processes on one database take
turns by locks, so that what two begin is done once; a job that fails is noted and tried again, and holds up no other;
cycles are planned by who leads. It decides nothing: each piece is a use case of its feature.
"""
