"""Usage events as they come, in CloudEvents form, and how far each is believed. Pure.

`posted.py` reads the three modes of HTTP, `model.py` has a run's event, `evidence.py` judges it by what the broker
knows of the run (decision 0019), `outcomes.py` says what became of each event of a request.
"""
