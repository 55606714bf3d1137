"""What usage was priced at: per contract, month, price and line, counted as it is captured and corrected.

`charge_limit.py` decides, without a database, whether one unit more keeps every promise; `rates.py` keeps the segments'
totals, `rate_corrections.py` what was changed in them after a month closed; `usage.py`, `volumes.py` and `versions.py`
read them for invoices, tiers and rate cards.
"""
