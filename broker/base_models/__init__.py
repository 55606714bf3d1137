"""The base models that customers may name: the catalogue's, and those that the operator of this installation added.

Owns `base_models`. `broker models` adds and removes, quotes ask which model a name stands for and for its tokenizer, a
claim tells the worker which files it must have. Invariants: a model is known by the hash of its files; its row never
changes but for the mark that it was removed, so quotes that name it stay readable; a name stands for one model at a
time. No weight is read here: what the trainer finds in a folder comes as a `ModelDescription`.
"""
