"""The `broker` command: serve, worker, migrate, demo, ledger, jobs, estimator.

What an operator can mend is one line and an exit code, never a traceback. `jobs` speaks REST through `broker.client`;
the others open the database themselves. Slow imports (web stack, demo) are made inside the commands that need them.
"""
