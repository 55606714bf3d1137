"""`trainer check`: what is wrong with a data set, where, and what to do about it, before training costs anything.

Owns the reports on pictures (`image_report`) and text (`text_report`), their measures, and the HTML page (`html` with
its template). Called by `trainer.commands.check`; the findings themselves are shapes of `trainer.data.quality_report`.
Invariants: every problem is a finding with a place and a cure, never an exception; what counts as usable is what
`pricing.datasets` says, so check, quote and training agree; the page stands by itself, and escapes what the data says.
Never: change the data (`--leave-out` writes a list beside it), compute with a model.
"""
