"""What a contract says, as every other feature asks it. Pure.

`model.py` has the terms and the prices of a moment, `agreed.py` payment and arrears, `changes.py` terms that change
from a moment on, `commitment_line.py` what is committed to by a moment, `calendar.py` the billing months that follow,
`renewals.py` when the end is near and what comes after.
"""
