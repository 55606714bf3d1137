"""A small Python client of the REST API; the CLI and the demo are built on it.

It owns nothing and imports nothing of the service: httpx only, so that it may be used without the rest. Every POST
carries an Idempotency-Key, every problem is an `ApiError`, a download is whole or not there.
"""
