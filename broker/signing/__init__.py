"""Signing a contract: its terms, its grant, its invoice or credit, and its own queue, in one transaction.

Owns no table: it calls contracts, capacity, ledger and billing, of which none knows that a contract is being signed.
Called by `POST /contracts`. Invariant: an advance is credited when its invoice is paid, other committed hours at once.
Grants that the house gives stand here, too, and so are purchases, amendments and renewals to do.
"""
