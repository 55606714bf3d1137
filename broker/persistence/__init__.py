"""Database and files: connections, transactions with a scope, batches and turns, the outbox, storage, migrations.

Owns the tables `outbox`, `installation` and `service_marks`, and the declarative base. Everything above opens
transactions through `Database.transaction`, which says whose rows may be seen; row-level security holds the same once
more. Invariants: a statement that goes past the session (`driver`) carries the condition on the tenant itself; a row
that is read so and changed (`records`) is locked, and written in sets; a message is written in the transaction of the
change that asks for it, and relayed after its database commit, at least once; a value that cannot be read (`documents`)
is an error where it is used, not where it is fetched. It knows no feature, no HTTP and no price.
"""
