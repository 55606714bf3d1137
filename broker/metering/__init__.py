"""Usage as evidence: each interval of a run, in CloudEvents form, judged, stored once and charged in one transaction.

Owns `usage_events` (partitioned by month), `usage_event_keys` (by hash), `quarantined_usage` and
`quarantine_decisions`, none of which is ever changed (a trigger refuses it); `usage_rollups`, `usage_sources` and
`usage_streams`. Heartbeats, `POST /usage-events` and the end of a run bring intervals to one function,
`service.take_usage`; what sources report from outside comes to `taking/reported.py`, with corrections of both. The
ledger captures them from the job's hold, or from the stream's standing one.
Invariants: an event has a key, of source and id, that is taken once for ever, so sent again it changes nothing; one
that goes beyond what the broker knows is quarantined and told, never charged and never dropped: accepted is rated +
quarantined; the rollups are the events, added up. Order of locks: run and job; contracts in theirs; then keys in
theirs. It prices nothing.

Its rooms, each importing only those below it: `taking/` beside `reading/`, `correcting/`, `outside/` beside
`service.py`, `keeping/`, `events/`. Other features come in by `service.py`, HTTP by the routes.
"""
