"""How much a contract may take: its monthly budget and its credit limit, by what is used and held of them.

Billing's figures are the same ones: a budget counts what the invoice will ask. `budget_alerts.py` tells at 50, 80 and
100 %; `budget_changes.py` takes a new budget. Nothing here writes a hold or a charge.
"""
