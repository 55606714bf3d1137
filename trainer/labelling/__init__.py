"""Captions for pictures that have none: by a captioning model, by a WD14 tagger, or from the files' names.

Called by `trainer auto-label`. `words.Labeller` is what a model gives: words for a batch of pictures, and the tokens
they took. `captions` chooses the pictures, puts the words together in one style, and writes them.

A caption that is there is never changed unless the user says so. What was written stays written when a later picture
fails: captions go to disk batch by batch, each file whole or not at all. No code of a model folder is run.
"""
