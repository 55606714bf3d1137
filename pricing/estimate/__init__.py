"""What one run takes on one GPU type: GPU-seconds at p50 and p90, peak memory, whether it fits, and what else would do.

Owns the estimate of a run (`run_estimate`), the ways to run the same steps (`offers`), the changes that make a run fit
(`memory_advice`), and the answer to scripts (`prediction`): to what they ask (`prediction_request`), in each way that
their program may go about it (`requested_run`; which, and how often: `unsaid`), with what makes it uncertain
(`uncertainty`). Quotes and
`broker estimator predict` call it, and the trainer when it has run out of memory.
Invariants: a peak is worked out once for each method and carried; an offer trains the very steps of its job;
what a request does not say widens its answer and is named in it.
May never: count a work or a price of its own, or know a contract, a queue or a pool.
"""
