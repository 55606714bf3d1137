"""Usage as evidence: each interval of a run, in CloudEvents form, judged, stored once and charged in one transaction.

Owns `usage_events` and `quarantined_usage` (never changed: a trigger refuses it). Heartbeats, `POST /usage-events` and
the end of a run bring intervals to one function, `service.take_usage`; the ledger captures them from the job's hold.
Invariants: an interval is known by run and sequence, so sent again it changes nothing; one that goes beyond what the
broker knows of its run is quarantined and told, never charged and never dropped. The caller holds the locks of run and
job. It prices nothing.
"""
