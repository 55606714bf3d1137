"""Usage as evidence: each interval of a run, in CloudEvents form, stored once and charged in the same transaction.

Owns `usage_events` (never changed: a trigger refuses it). Heartbeats and `POST /usage-events` bring intervals; the
ledger captures them from the job's hold. Invariants: an interval is known by run and sequence, so sent again it changes
nothing; one that claims more than its devices could hold in that time is refused. The caller holds the locks of run and
job. It prices nothing.
"""
