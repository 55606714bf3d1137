"""Usage that was charged and is taken back: work lost by our doing, and corrections of what was measured.

`lost_work.py` and `correction_plan.py` decide without a database; `taking_back.py` books the opposite of a capture in
the very legs that paid, in a closed month as a line of the next invoice; `reattribution.py` does it at a run's end,
`usage_corrections.py` by an event. Both captures stay visible; hours of a grant that is over come back as a
compensation, by `compensation_sweep.py` also where a live hold has them again.
"""
