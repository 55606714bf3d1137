"""What the broker asks of the thing that runs trainers: one small protocol, its engines, the agent of a pool.

Owns no table; what it knows of runs is in the engine and in `jobs`. The daemon drives the agent: it registers with the
pool, relays launches and stops of its own runs from the outbox, ends those whose process is gone, and drains.
Invariants: a run id is started at most once, whatever crashes in between; no two runs see one device; an agent ends no
run but its own, and stops those before its lease ends if nobody renews it; no engine is called inside a transaction;
an engine decides no order and requeues nothing; one that does not answer is never a run that is gone. `local` runs
processes of this machine, `slurm` and `ray` jobs of a cluster. A new engine is one module here that keeps the promises
of `engine.Engine`, and passes `tests/engines`.
"""
