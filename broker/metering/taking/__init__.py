"""The doors by which usage comes in: each event is judged by itself, taken once for ever, and charged or quarantined.

`reported.py` takes a request that may have measurements and corrections of them; `intake.py` what sources measured,
`run_intake.py` what a run sends as events; `decisions.py` takes what is in quarantine once more, where finance says so.
Order of locks: run and job, or keys in their order; then contracts in theirs.
"""
