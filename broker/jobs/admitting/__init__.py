"""Admission: a submitted job is taken with its hold and its place in a queue, or nothing is.

`submissions.py` collects those of one moment, each with its own answer; `submission_batch.py` is one batch of them in
its transaction; `admission_batch.py` reads what they are decided from and writes what was decided, in one message each;
`remembered.py` knows by heart what the last batch has left, and how that is confirmed; `admission.py` (pure) decides,
by `order_terms.py` (its queue, limits and hold) and `type_terms.py` (the GPU types that it accepts). Order of locks:
data sets, then contracts in theirs, shared by those who decide by heart; balances are moved last.
"""
