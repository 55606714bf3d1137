"""The console at `/console`: pages for customers, finance and ops, made on the server.

Owns nothing in the database: a session is a bearer of `identity`, and its cookie is all that is kept here. Called by
`app.py`, which includes its routes. A page reads through services and reports in one transaction; a form writes
through the REST API of this very process (`frame/api.py`), so that validation, roles, idempotency, audit and problems
have one door. Invariants: filters, tabs and ranges stand in the URL; paging, totals and counts come from SQL; no script
or style is written into a page, and nothing is fetched from another host. Locks: none. It decides nothing about money,
jobs or queues, and never imports a feature's tables.
"""
