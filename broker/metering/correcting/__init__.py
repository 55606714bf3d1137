"""Corrections: somebody says anew how much an earlier event was, and the difference is charged or taken back.

`correction_events.py` (pure) reads them and computes the change; `corrected.py` locks the books of what is corrected, a
stream's event or a run's interval; `corrections.py` takes a batch of them. The event and each correction stay as they
came: the one whose `time` is the latest counts, in whatever order they arrive (decision 0037).
"""
