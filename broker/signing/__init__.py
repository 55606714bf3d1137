"""Signing a contract: its terms, its grant, its invoice or credit, and its own queue, in one transaction.

Grants stand here, too: those that the house gives, orders of hours and tokens (`purchases`, by hand or by `top_ups`),
and what becomes of their unused part (`refunds`; `unused`: carried on, given up). Owns `purchases`, `top_up_rules`. It
calls contracts, capacity, ledger and billing, of which none knows that a contract is being signed. Invariants: an
advance is credited when its invoice is paid, other committed hours at once; nothing more is ordered before the
contract's own advance is paid; an order that is not paid by its last moment is void, and a late payment is a credit.
Amendments are confirmed as their preview showed them, and withdrawn until they take effect; a renewal follows a
contract under its number, by a word of finance or by itself.
"""
