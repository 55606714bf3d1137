"""What a quote is asked for, checked: the configuration with its defaults, and what is wrong with the data. Pure.

`configuration.py` reads it, `findings.py` says what is refused and what is told beside the price, `refusal.py` refuses
key by key.
"""
