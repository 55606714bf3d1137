"""The revenue report: what a calendar month earned, and what is deferred until it is, all of it from the ledger.

Owns no table. `movements.py` reads what was booked on the accounts of revenue, deferred revenue and tax, contract by
contract; `waterfall.py` says, purely, when what is deferred is expected to be earned. Invariants: opening and movements
come to closing, which is the ledger's balance; tax is no revenue and stands apart; it is what the journal of the month
says; a month whose books are closed never changes.
"""
