"""Usage as evidence: each interval of a run, in CloudEvents form, judged, stored once and charged in one transaction.

Owns `usage_events` (partitioned by month), `usage_event_keys` (by hash) and `quarantined_usage`, none of which is ever
changed (a trigger refuses it), and `usage_rollups`. Heartbeats, `POST /usage-events` and the end of a run bring
intervals to one function, `service.take_usage`; the ledger captures them from the job's hold.
Invariants: an event has a key, of source and id, that is taken once for ever, so sent again it changes nothing; one
that goes beyond what the broker knows of its run is quarantined and told, never charged and never dropped: accepted is
rated + quarantined; the rollups are the events, added up. The caller holds the locks of run and job. It prices nothing.
"""
