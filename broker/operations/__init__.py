"""What ops sees across features at one moment, and what it takes back; and how a contract stands among others.

`overview.py` reads, in as many statements whatever there is; who is due what, borrows and lends is pure
(`fair_division`, `standing`, `claims`, `peers`); `views.py` shows it, and names other customers to staff alone. It
decides nothing: who starts is `scheduling`'s. A decision is undone by the feature that it was about, through the same
door and checks as it was made; `audit` says what was before. Nothing is undone that was changed since, nothing twice.
"""
