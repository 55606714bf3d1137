"""Secrets of customers: the address and key of a tracker of their own, which the runs of their jobs tell what they do.

Owns `customer_secrets`. Called by jobs, which name one (`tracker`), by workers, which give it to a run that is claimed,
by `exits` and `app`. Invariants: a key is sealed (`broker/sealing.py`), and is nowhere else but there and in the answer
to a claim; no person is shown it again; a name is given once to a customer; a run that has been given a key keeps it,
whatever becomes of the secret, and its log keeps none of the secret's. Locks: the secret. It connects to nobody: the
trainer does.
"""
