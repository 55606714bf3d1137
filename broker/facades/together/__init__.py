"""`/together`: files, fine-tuning jobs, prices and adapters as Together's clients ask for them.

A file is a data set, a fine-tuning job is a job, an estimated price a quote. `door.py` is the routes' class. An upload
is asked for, sent to an address that needs no key, and confirmed: `upload_links.py` seals in that address who may send
what. `orders.py` reads what is ordered, `objects.py` and `events.py` write what is answered, all pure;
`adapter_archive.py` answers an adapter as one tar.
"""
