"""Who acts: customers, their projects, API keys of customers and staff, and the bearers of run tokens.

Owns `customers`, `projects`, `api_keys`. Called by the edge (`bearers`, handed in by `app.py`) and by every
feature that names a customer. Invariants: only the hash of a key is kept; a revoked key ends with the next request; the
last administrator's key that lasts cannot be revoked; a run token is derived from run and customer and stored nowhere.
Locks: the administrators' keys, by id, while one is revoked. It may not know what a customer has bought or runs.
"""
