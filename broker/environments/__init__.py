"""Environments: the servers that serve what a stage has, each by its own call, and how far each push has come.

Owns `environments`, `environment_pushes`. A promotion writes what each environment is to serve in its own transaction
(`wanting.py`); the daemon pushes what is due (`pushing.py`), asks servers what they have, and pushes again what they
lost (`looking.py`). Called by the daemon, `app` and the console. Invariants: one push for each environment and name,
which tells what is wanted, and what was last confirmed; no server is asked within a transaction; only addresses that
were checked are connected to, those of the house's own networks for environments of staff alone; a token is sealed
(`broker/sealing.py`) and shown never; a server that is away keeps no other waiting. Locks: a push alone, and what
another process has is skipped. It decides no promotion, and deletes no adapter.
"""
