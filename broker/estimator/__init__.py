"""How good the estimates are, and how they get better: learning from finished jobs, judging, reporting.

Owns no table: it reads the history of `jobs` and keeps versions in `calibrations`. The daemon has it learn; ops and
`broker estimator report` read its judgement; `/metrics` tells it. Invariants: a job stopped at its quote counts
as what it has used, or slow jobs would never teach; fitting holds no transaction open. Its mathematics is in
`pricing.calibration`.
"""
