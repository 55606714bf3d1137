"""Jobs as others look at them: events as they happen, their expected end, how they ended, which ones wait.

`event_feed.py` serves all followers of a process by one look a turn; `history.py` is what the estimator learns from,
`queueing.py` what the planner plans with (it also writes down why each job waits), `checks.py` what `broker ledger
verify` asks, `withdrawal.py` what may not go while a job needs it. No state of a job is changed here.
"""
