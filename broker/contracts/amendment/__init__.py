"""Amendments: terms that change from a moment on, added to a contract and withdrawn before they take effect.

Pure: `new_amendment.py` is what was asked for, `amendable.py` which terms may change, `amendment_moments.py` when,
`amendments.py` what follows. `amending.py` writes the record, which never changes, and the contract's row, under its
lock; `grant_terms.py` moves the ends of grants with it (decision 0038). No amendment reaches what was rated.
"""
