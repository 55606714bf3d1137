"""The planner's rules, each by itself: who goes before whom, how ranks age, how long runs last.

`order.py` has the key of a job; `least_attained.py` measures for it. `lengths.py` and
`corrections.py` say until when a run is expected. What simulated policies alone go by is theirs (`simulation`).
"""
