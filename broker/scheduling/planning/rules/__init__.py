"""The planner's rules, each by itself: who goes before whom, how usage decays and ranks age, how long runs last.

`order.py` has the key of a job; `fair_share.py`, `least_attained.py`, `shortest_remaining.py` and `ageing.py` measure
for it. `lengths.py` and `corrections.py` say until when a run is expected. `layout.py` and `deadlines.py` are used by
simulations alone: GPUs that nobody names, and deadlines that are promised.
"""
