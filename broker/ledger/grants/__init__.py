"""What a contract has bought or was given ahead: its balance, its pace, its earnings and its end.

`grant_balances.py` and `coverage.py` read, `pace.py`, `commit_usage.py`, `commit_periods.py`, `late_losses.py` and
`commitment.py` say how far it goes; `credit.py`, `resizing.py` and `compensation.py` give units, `held_again.py` says
what holds have again of lost work, `grant_ends.py` takes what is unused at expiry, voiding or refund; `worth.py` says
what units are worth, `earnings.py` turns what was deferred into revenue, `refunds.py` reads what was owed back. What
is deferred of a grant is always the price of what is not earned of it. The contract is locked by who calls what
writes.
"""
