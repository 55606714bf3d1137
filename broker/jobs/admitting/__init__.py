"""Admission: a submitted job is taken with its hold and its place in a queue, or nothing is.

`submissions.py` collects those of one moment, each with its own answer; `admission_batch.py` reads what they are
decided from and writes what was decided, in one message each; `admission.py` (pure) decides, by `order_terms.py` (queue,
limits, hold) and `type_terms.py` (the GPU types that a job accepts). Order of locks: the jobs of a retry, then contracts
in theirs.
"""
