"""The worker protocol: what `trainer run` asks of the broker with its run token (docs/worker-protocol.md).

Owns no table. A worker claims its run, sends heartbeats with progress, usage and observations, tells its log, uploads
checkpoints and the adapter, and finishes. Invariants: a run token speaks for its own run only; a stale fence token can
neither report nor settle; the bytes of an upload come before any lock; the same request again changes nothing;
heartbeats that come while the last ones are committed, whoever's runs they are of, are one batch (`joint_reports.py`)
of three messages to the database, and its cut changes nothing; so are ends of runs by which jobs are over
(`finishing.py`). Order of locks: jobs and runs, holds, contracts, those of a batch each in the order of their ids.
"""
