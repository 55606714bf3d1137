"""What is read of usage: a job's intervals, sums by the hour, the export, the last use, the metric of quarantine.

`grouping.py` (pure) says what is asked for; `listing.py` and `rollups.py` answer a page at a time with the sums of all;
`export.py` streams events as they were reported, `last_use.py` and `metrics.py` answer the sweeps and Prometheus. It
changes nothing.
"""
