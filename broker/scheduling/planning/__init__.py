"""The planner: who starts now, where, and why each other job waits. Pure: standard library only, no clock, no I/O.

`model.py` has the values. `planner.py` is told what changes, and plans; `plan.py` plans from a whole snapshot by the
same planner. A plan is made by `round.py`, over `classes.py` (who waits, in the order of `order.py`, kept by
`ranking.py`) and `nodes.py` (what is free, now and later), with `placing.py`; `reclaim.py` makes room by stopping
others, of whom `preemption.py` chooses the cheapest. Who is left waiting is told by `line.py`, with `forecast.py`,
`reasons.py` and `wording.py`. The live cycle and the simulation call it, nobody else. Invariants: no GPU is given
twice; each waiting job starts or has a reason; a plan changes nothing, and depends on what is true alone, neither on
the order in which it was told nor on what was planned before. Decision 0051.
"""
