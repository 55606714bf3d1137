"""Who acts: customers, their projects, API keys of customers and staff, sessions of the console, run tokens.

Owns `customers`, `projects`, `api_keys`, `sessions`. Called by the edge (`bearers`, handed in by `app.py`), by the
console and by every feature that names a customer. Invariants: only the hash of a key, or of a session's token, is
kept; a revoked key ends with the next request, and its sessions with it; the last administrator's key that lasts cannot
be revoked; a run token is derived from run and customer and stored nowhere; scopes of a key never change, and no key
makes one that may do more than itself.
Locks: a key while it is rotated; the administrators' keys, by id, while one is revoked or rotated. It may not know what
a customer has bought or runs.
"""
