"""The rows of contracts and what belongs to them: numbers, grants, ends, and events, which never change.

`creation.py` writes a contract and `loading.py` reads them, with their rate cards and under their locks; `rows.py`
reads a row as the terms that it holds; `numbers.py` keeps one number for one contract of a customer; `grants.py` has
the blocks of prepaid units, whose balances are the ledger's; `endings.py` ends or renews; `heirs.py` finds who gets
what comes back of an ended one; `events.py` tells what happened. It decides no terms.
"""
