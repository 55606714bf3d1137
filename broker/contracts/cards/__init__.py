"""Rate cards: published once, never changed, in force from a day that has begun nowhere yet.

`rate_cards.py` looks one up by its day, `publishing.py` checks and publishes one, `shipped_cards.py` publishes the
catalogue's as a release starts.
"""
