"""Data sets on disk: pictures with their captions, and rows of text, read as the broker's quote reads them.

Called by families (which turn rows into tensors), checking and labelling. `dataset.Dataset` is what all of them share:
usable rows, and a finding for each row that is not. What counts as a row, a caption or a picture is decided in
`pricing/datasets/`, so that the trainer trains on exactly what was quoted; here are only files, sizes and pixels.

Reads the data, never changes it. `tensor_cache` keeps what was computed from pictures, by content, on disk.
`quality_samples` and `quality_report` are the words in which findings are told; the judging is in checking/.
"""
