"""Captures: usage that ran becomes charges, within the hold, the promises and what the contract still has.

`charging.py`, `charges.py` and `supply.py` decide without a database how an interval splits into what is charged and
what is borne, and by whom; `booking.py` writes it, `captures.py` is the door for metering, `shortage.py` says why a run
cannot go on. Never is a customer charged beyond a promise.
"""
