"""A small Python client of the REST API; the CLI and the demo are built on it.

It owns nothing and imports nothing of the service: httpx and the pure `pricing` only. A folder of data is packed here
(`folder`), the same bytes for the same files, before it is uploaded. Every POST
carries an Idempotency-Key, every problem is an `ApiError`, a download is whole or not there.
"""
