"""A Python client of the REST API; the CLI and the demo are built on it.

It owns nothing and imports nothing of the service, so that it may be used without the rest: httpx, and of `pricing`
which files are data. Every POST carries an Idempotency-Key and is sent again where its answer got lost; every problem
is an `ApiError`, a broker that does not answer is `NotReachable`; a download is whole or not there.
"""
