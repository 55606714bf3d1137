"""Holds: what is reserved of grants, budget and credit for a job, leg by leg, from admission to the job's end.

`legs.py` decides in which order grants and overage pay; `reserves.py` and `room.py` what is free; `hold_batches.py`
places holds of many submissions together, `holds.py`, `adjust.py` and `standing.py` one; `charge_books.py` has a
contract's books in memory while usage is charged, `charge_reading.py` locks and reads them for a batch of heartbeats,
with the holds as records; `usage_prices.py` (pure) tells what usage to come costs, `further_usage.py` reads it. Order
of locks: job, hold, contract. Holds never exceed a balance.
"""
