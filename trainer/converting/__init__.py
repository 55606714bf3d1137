"""`trainer convert`: the configuration of sd-scripts, LLaMA-Factory or axolotl as one of ours, with what has no equal.

Owns the reading of their files (`foreign_file`), what a translation says (`conversion`), the words that all of them
share (`shared_words`), and a file of rules for each program, whose defaults are written out where ours differ.
Called by `trainer.commands.convert` alone. The names of keys are data: `pricing.catalog.key_names`.
Invariants: what is written validates as ours; whatever is left out or means something else is said, with its value.
Never: run or fetch anything that a file names.
"""
