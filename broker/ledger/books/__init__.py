"""The accounts and what is posted between them: the ground of the ledger.

`accounts.py` opens accounts and posts transfers, each entry one row of debit, credit and amount; `model.py` has the
kinds of accounts and the moves; `money_books.py` alone posts between the accounts of money; `causes.py` says who bears
what is lost; `closed_months.py` says which months are final. It knows no hold, no grant's rules and no price.
"""
