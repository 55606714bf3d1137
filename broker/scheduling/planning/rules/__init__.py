"""The planner's rules, each by itself: who goes before whom, how usage decays and ranks age, how long runs last.

`order.py` has the key of a job; `fair_share.py` and `least_attained.py` measure for it. `lengths.py` and
`corrections.py` say until when a run is expected. What simulated policies alone go by is theirs (`simulation`).
"""
