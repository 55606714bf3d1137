"""Model families: everything that differs between a language model, a ChatGLM and a Stable Diffusion.

`family.Family` names what training asks of a family; `registry` knows which families there are, recognises them by the
files of a model, and reads their data sets, all without importing torch. Called by training, profiles, serving and
commands, through these two; only serving and `try_adapter` name a family's class.

To add a family: a folder with a class that has every member of `Family`, and an entry in `registry.FAMILIES`. A branch
on the kind of model anywhere else is a member that is missing here. Only the adapter's parameters ever train.
"""
