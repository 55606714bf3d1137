"""What a contract says, as every other feature asks it. Pure.

`model.py` has the terms and the prices of a moment, `agreed.py` payment and arrears, `changes.py` terms that change
from a moment on, `calendar.py` the billing months that follow, `renewals.py` when the end is near and what comes after.
"""
