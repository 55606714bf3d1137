"""What a job will need and cost: a configuration is resolved, counted on its data, estimated, priced, and kept.

Owns `quotes`. Customers ask by REST; admission accepts or makes one. The value grows by one step each: configuration →
planned job → estimate → prices → quote. Invariants: a quote is tied to the hashes of its configuration and its data;
tokens are counted exactly, by the code that trains, once for each data set and tokenizer, and never in a transaction:
small data before it (`count_needs`), large data beside it (`token_counter`); data with errors is refused unless
`skip_bad_rows` says otherwise; a configuration that fits on no device, or that the device cannot run, is refused with
the cure; what a range is wide for is said with it (`uncertainty`).
Pure modules: configuration, row_lengths, pictures, findings, estimate, uncertainty, prices, budget. It reserves
nothing.

Its rooms, each importing only those below it: `shapes/`, `offers.py`, `service.py`, `costing/`, `estimating/`,
`counts/`, `checking/`. Other features come in by `service.py`.
"""
