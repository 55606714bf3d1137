"""Jobs and their runs: admitted, queued, started, stopped, resumed, ended; their limits, events and checkpoints.

Owns `jobs`, `job_notes`, `job_events`, `runs`, `evictions`, `checkpoints`, `checkpoint_marks`, `lost_work`,
`loss_points`, `run_logs`, `log_lines`; their columns are changed here and nowhere else. The API admits and controls
jobs, scheduling starts runs, workers report. Invariants: a job is admitted together with its hold, or not at all; it
has at most one active run; only the highest attempt may report (its number is the fence token); which status may follow
which stands in `rules/model.py`. Order of locks: job (and with it its runs), hold, contract. A service takes and
returns no API shapes.

Its rooms, each importing only those below it: `admitting/`, `running/` beside `reading/`, `service.py`, `rules/`. Other
features come in by `service.py` and by what `running/` and `reading/` offer.
"""
