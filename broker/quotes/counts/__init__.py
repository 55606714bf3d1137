"""The work of a configuration on its data, counted by the code that trains: tokens, rows, pictures, steps.

`text.py`, `pictures.py` and `row_lengths.py` count a file, without torch; `count_aside.py` does so in a thread,
`token_counter.py` in the background, `count_needs.py` before a request's transaction begins; `counting.py` plans the
steps of a configuration from the counts. Data is counted once for each tokenizer, and never in a transaction.
"""
