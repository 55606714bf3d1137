"""What the broker asks of the thing that runs trainers: one small protocol, the local engine, the agent of a pool.

Owns no table; what it knows of runs is in the engine and in `jobs`. The daemon drives the agent: it registers the
pool, relays launches and stops from the outbox, and ends runs whose process is gone. Invariants: a run id is started at
most once, whatever crashes in between; no engine is called inside a transaction; an engine decides no order and
requeues nothing. A new engine is one module here that keeps the promises of `engine.Engine`.
"""
