"""The planner: who may start now, where, and why each other job waits. Pure: standard library only, no clock, no I/O.

`model.py` has the values, `plan.py` the plan. The live cycle and the simulation call it, nobody else. Invariants: no
GPU is given twice; each waiting job starts or has a reason; the plan depends neither on the order of the input nor on
what was planned before.
"""
