"""The time machine: a trace or a recorded window is replayed under a policy on a virtual clock. Pure: no clock, no I/O.

Traces come in as lines (`swf.py`, `csv_trace.py`) and go out as measures (`measures.py`); `replay.py` is the event
loop, `cluster.py` what runs where, `layout.py` on which nodes. A policy (`policy.py` makes them) decides: today's
planner, the very code that plans live, or another to compare it with, which goes by `shortest_remaining.py`,
`ageing.py` and `deadlines.py`. A window that a broker recorded (`recording.py`, `window.py`) is replayed by the planner
that plans live (`window_replay.py`), as it was and as is proposed, and the two are compared. Invariants: equal input
gives equal output; a policy never learns how long a job will run, other than by its estimate; no GPU is given twice.
"""
