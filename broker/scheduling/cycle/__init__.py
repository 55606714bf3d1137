"""The live cycle: what there is to plan with is read from the database, and the plan applied under lock.

Of tables it writes `recorded_cycles` (`recorder.py`) and `planning_leaders` (`leading.py`); jobs, pools and queues
belong to `jobs` and `capacity`. The daemon runs it (`live.py`) as often as `pace.py` allows; `memory.py` keeps the line
from cycle to cycle, with a planner that is told what changes (`following.py`); `snapshot.py` reads what jobs are
planned on (`places.py`: node by node), `waits.py` words what waiting jobs are told. It decides nothing itself: that is
`planning`, which the simulation asks in the same words.
"""
