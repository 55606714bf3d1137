"""How training data is read: one code for the upload, the quote, `trainer check` and the training.

Owns the forms of text rows (`text_records`, `text_rows`) and the text around them (`text_format`), the list of pictures
with their captions (`picture_listing`, `picture_captions`), and what is wrong with data (`finding_level`,
`caption_quality`, `thresholds`). Callers hand in names and bytes, and the tokenizer as a function.
Invariants: what was quoted is what trains; a row that cannot be used is a finding with its line, never an exception.
May never: open a file or a picture itself, or import a tokenizer or an imaging library.
"""
