"""Usage as it is kept: events by month under keys of their own, the sums of their hours, and what is in quarantine.

`storing.py` claims keys and stores events with their sums, `intervals.py` reads and adds those of a run,
`quarantine.py` keeps what is not charged, `months.py` makes partitions ahead. Nothing that is kept is ever changed.
"""
