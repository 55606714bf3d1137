"""An invoice from its total down: rate segments, lines, charges, intervals, price versions; its days; what came after.

Owns no table. The pages of finance and customers ask. Invariants: segments add up to the total, lines to their segment,
days to what usage costs; each of them is read a page at a time. It works nothing out anew: `pricing/evidence` does.
"""
