"""`broker demo`: three customers, a real model, a real job, a killed one, and the books at the end.

It plays against a real `broker serve` over REST, as a user would; `stage` starts it and checks what is promised.
"""
