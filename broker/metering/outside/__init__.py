"""Usage from outside of runs: who may report it, what is asked of it, and which contract it is of.

`sources.py` has the sources that staff registered, `measured.py` (pure) what is asked of each event, `places.py` leads
its subject to a contract, `streams.py` numbers what one source reports under one contract. It charges nothing.
"""
