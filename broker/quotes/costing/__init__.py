"""What a job's estimate costs: on every plan, beyond the grants of a contract, and how far a customer's own limit goes.

`prices.py` and `budget.py` are pure; `beyond_grants.py` asks the contracts that would pay. It reserves nothing.
"""
