"""What things cost, and what they will take: money, plans, rate cards and burn-down; estimates of time and memory.

Owns every rule that broker and trainer must apply alike: what a token is, which rows a step has, how a price is
rounded. Both import it, and it imports neither. Files at the top price what is known (`rate_card`, `rating`, `quote`,
`budget`, `grants`, `money`); rooms estimate what is not (`estimate`, from `calibration`, `resources`, `training`).
Invariants: money is whole micro-units and exact fractions, rounded once; the same inputs give the same answer.
May never: open a connection, read a clock, draw without a seed, import torch or a tokenizer, or price in `float`.
"""
