"""Facades: the addresses of other services, for their own clients unchanged.

Owns nothing in the database. A facade translates: a request of a foreign client becomes requests of the REST API of
this very process (`asking.py`), as the bearer who sent it, so that validation, roles, tenancy, idempotency and audit
have one door; the answer, or the problem, is written as that client expects it. Called by `app.py`, which includes the
routes. Never: a rule of money or of jobs, a feature's tables, a transaction.
"""
