"""What is read of the ledger: balances now and as of a moment, lists, journal, Beancount, and the proof of it all.

`balance.py` and `history.py` answer the API, `listing.py` its pages; `journal.py` (凭证), `beancount.py` and
`export.py` write the books for others; `verify.py` derives every balance and sum again. Nothing here writes to the
database.
"""
