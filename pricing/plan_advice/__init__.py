"""Which plan would have been cheapest for what a customer used, and how wrong that may turn out: for the next contract.

`costs.py` prices months of usage as if they had been on a plan with a commitment; `advice.py` compares plans by that,
over months as they were, all as quiet as the quietest and all as busy as the busiest. The reports ask. Pure: a price is
exact and rounded as invoices are; nothing is guessed beyond the months that were told. It may never sign anything.
"""
