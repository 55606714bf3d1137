"""What every page of the console has: session, language, panels, tables, forms, numbers with units, live updates.

Called by the pages of `customer`, `finance` and `ops`, of which it knows none. `page.py` is the door: cookie → actor →
page. It reads no feature's data.
"""
