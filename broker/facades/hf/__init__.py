"""`/hf`: adapters as the Hugging Face hub's client asks for them (`HF_ENDPOINT=https://…/hf`), to read.

A repository is an adapter's name below its customer's (`acme/cyberpunk`), a version of it a revision (`v3`, `main` is
the newest), and a commit the first forty digits of the SHA-256 of its weights. An adapter whose name the client does
not allow is asked for by its id. `repositories.py` names and finds and `files.py` writes what a repository holds, both
pure; `door.py` tells what failed by the headers that the client reads. The weights are passed on from the REST API as
they come, so that a client goes on where it broke off.
"""
