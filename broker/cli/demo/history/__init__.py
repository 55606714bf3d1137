"""`broker demo --history`: months of made-up customers, written by the real services on a virtual clock.

`run.py` opens an empty database and checks the books at the end, `story.py` sets the scene and lives the days,
`timeline.py` has the clock, the ids and what is still to happen, `house.py` the broker in this process, `voices.py`
who speaks to it. What happens: `customers.py` and `submitting.py` (what customers sign and submit, from `plot.py`),
`machines.py` and `training.py` (the planner, the agents and each run by the worker protocol), `operating.py`,
`deals.py`, `measuring.py` and `closing.py` (what ops, finance and meters do).
Invariants: every row comes from a route or a service; the same seed, jobs and days make the same history; every object
that has a name says that it is made up. It writes into a database without customers only. It never inserts a row by
itself, and never sleeps.
"""
