"""What a contract has bought or was given ahead: its balance, its pace, its earnings and its end.

`grant_balances.py` and `coverage.py` read, `pace.py` and `commitment.py` say how far it goes; `credit.py`,
`resizing.py` and `compensation.py` give units, `grant_ends.py` takes what is unused at expiry, voiding or refund;
`earnings.py` turns what was deferred into revenue. The contract is locked by who calls what writes.
"""
