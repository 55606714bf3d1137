"""Contracts as others look for them: listed, priced plan by plan, or read with their locks for a batch of uses.

`candidates.py` finds and locks the contracts that uses may run under, in one message of the driver; `prices.py` answers
what every plan costs a customer now; `listing.py` has the conditions of lists. It changes no contract.
"""
