"""The versions of what finished runs have taught the estimator; every quote names the one that it was made with.

Owns `calibrations`. Quotes read the newest one, `estimator` keeps a new one. Invariants: a version never changes (a
trigger refuses it), so it may be cached for as long as the process lives; before there is one, published figures stand
in. It learns nothing itself.
"""
