"""Who may start now, and why each other job waits: read what has changed, plan, apply under lock.

Owns the tables `recorded_cycles`, what cycles were planned from, `planning_leaders`, which process plans, and
`queue_simulations`, what ops asked about recorded cycles.
Ops tunes queues through `tuning.py`, which names the jobs that a limit strands; `shortfalls.py`
tells contracts what machines that failed leave of their guarantees.
The daemon runs a cycle when something changed, as often as `pace` allows. Processes take turns by an advisory lock.
Invariants: the plan is checked again under the job's lock before it is applied; one job that cannot start keeps no
other from starting. It launches nothing: a start is a row in the outbox, for `execution`.

Its rooms, each importing only those below it: `cycle/` (live: reads, asks the planner, applies), `simulation/` (a
virtual clock over the very same planner), `planning/` (pure).
"""
