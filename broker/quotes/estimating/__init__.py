"""What a job will need on a device of each type, what that is uncertain for, and how busy this machine is.

`estimate.py` and `uncertainty.py` (pure) bring the counted work to the calibrated model of `pricing.estimate`;
`machine_load.py` looks at the machine that would run it. It knows no price.
"""
