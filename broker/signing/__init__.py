"""Signing a contract: its terms, its grant, its invoice or credit, and its own queue, in one transaction.

Owns no table: it calls contracts, billing, ledger and capacity, which do not know each other. Called by `POST
/contracts`. Invariant: an advance is credited when its invoice is paid, other committed hours at once. Purchases,
amendments and renewals belong here, too.
"""
