"""What the command line writes for people: objects of the API in, lines of text out. Pure; `now` is handed in.

Ids stand there whole, since one that is cut is useless. Times are relative, or local. Texts that come from customers
are made harmless to terminals (`output.clean`). Widths are counted in cells: a Chinese character takes two.
"""
