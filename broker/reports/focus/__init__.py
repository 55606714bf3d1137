"""The FOCUS export: what a month's final invoices ask for, in the columns of the open billing format that tools read.

Owns no table. `columns.py` names the columns of version 1.2 and those that 1.3 adds, `lines.py` reads the lines of
final invoices and credit notes, `rows.py` turns each into a row, purely. Invariants: the sum of BilledCost is what the
month's final invoices ask for, less its credit notes and orders cancelled in it; what was bought ahead is billed as it
is sold, and is EffectiveCost as it is used; no row of a month that has no final invoice yet.
"""
