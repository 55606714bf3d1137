"""The life of a run, and of its job with it: started, claimed, kept alive, stopped, ended once, resumed.

`runs.py` takes it through its states, `locked_run.py` locks it and says whether its worker may still report;
`checkpoints.py` keeps what it uploaded, `lost_work.py` bears what it lost by our doing, `control.py` stops and pauses,
`resume.py` goes on with a hold of what is left. Order of locks: job (and with it its runs), hold, contract.
"""
