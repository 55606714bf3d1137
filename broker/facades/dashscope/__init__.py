"""`/dashscope`: files and fine-tuning jobs as the clients of DashScope (阿里云百炼) ask for them.

A file is a data set, a job is a job, the model that it makes an adapter. `door.py` is the routes' class: each answer
has the request's id, and what failed is told as `{"code", "message", "request_id"}`, in the language that
`Accept-Language` names. `orders.py` reads what is ordered, `objects.py` writes what is answered, both pure;
`event_stream.py` writes what happens to a job as it comes.
"""
