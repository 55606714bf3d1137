"""Statements of the bank: files in the layouts of Chinese banks are read into lines, and lines into receipts. Pure.

Who imports one is `payments`; a new layout is an entry in `layouts.py`. What cannot be read is told of its own line,
with its field, and keeps no other line from being read. It guesses nothing: a file that fits two layouts is refused.
"""
