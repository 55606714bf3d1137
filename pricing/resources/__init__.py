"""What a run needs of a machine: work counted from the profile, and the seconds and GiB that constants make of it.

Owns the method of a run (`method`), what it does (`step_work`, `run_plan`, `run_work`) and holds (`peak_contents`), and
what that takes (`time`, `memory`; `tiles`: how full products keep a card); `trainer_memory` decides on gradient
checkpointing, for quote and trainer alike, and `exclusions` says which method a device cannot run at all.
`fitting` and `shipped_constants` say where the constants are from. Estimates, calibration and the trainer call it.
Invariants: counting knows no fitted constant, and a fitted constant no model; each has a prior with its source.
May never: measure the machine that it runs on, or set a constant by hand for one model or GPU type.
"""
