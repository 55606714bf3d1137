"""`/openai/v1`: files, fine-tuning jobs, models and chat as the OpenAI clients ask for them.

A file is a data set, a fine-tuning job is a job, a model is a base model or an adapter (`ft:…`). `door.py` is the
routes' class: whatever fails is told as `{"error": …}`, and nothing that a client would retry in vain invites it to.
`orders.py` reads what is ordered, `objects.py` writes what is answered, both pure; `repeats.py` keeps a POST that a
client sends again by itself from being done twice.
"""
