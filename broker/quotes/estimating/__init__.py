"""What a job will need on a device of each type, and what that is uncertain for.

`estimate.py` and `uncertainty.py` (pure) bring the counted work to the calibrated model of `pricing.estimate`; how busy
the machine is that would run it, its agent has told. It knows no price.
"""
