"""`trainer serve`: one base model in memory behind OpenAI's paths, and the adapter that each request names.

Owns the HTTP side (Starlette on uvicorn), the adapters in memory and their switching. Called by `trainer.commands.cli`
alone. A request goes from `application` (the paths) through `requests` (the body, checked) and `host` (the model, with
its adapter) to `text` or `images`, and back through `answers` or `refusals`.
Invariants: one request at a time uses the model, always through `ModelHost.using`; a switch changes no base weight; an
adapter that does not fit is refused and leaves the others as they were; a client that leaves lets go of the model.
Never: block the event loop (the model works in a thread), know a login (it listens on the loopback), train.
"""
