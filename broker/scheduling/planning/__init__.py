"""The planner: who starts now, where, and why each other job waits. Pure: standard library only, no clock, no I/O.

`planner.py` is told what changes, and plans. Rooms, each importing only those below it: `waits` (why, and until when),
`rounds` (one plan), `books` (who waits, what is free), `rules` (who goes before whom, and how long runs are expected to
last), `values` (what is told, and what is answered). The live cycle and the simulation call it, nobody else.
Invariants: no GPU is given twice; each waiting job starts or has a reason; a plan changes nothing, and depends on what
is true alone, neither on the order in which it was told nor on what was planned before. Decision 0051.
"""
