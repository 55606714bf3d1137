"""What one run takes on one GPU type: GPU-seconds at p50 and p90, peak memory, whether it fits, and what else would do.

Owns the estimate of a run (`run_estimate`), the ways to run the same steps (`offers`), the changes that make a run fit
(`memory_advice`), and the answer to scripts (`prediction`). Quotes and `broker estimator predict` call it, and the
trainer when it has run out of memory.
Invariants: a peak is worked out once for each method and carried; an offer trains the very steps of its job.
May never: count a work or a price of its own, or know a contract, a queue or a pool.
"""
