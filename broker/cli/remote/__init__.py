"""Commands that speak REST with an address and a key: what customers and staff do from anywhere.

`connection` finds the broker and the key, `ids` completes the beginning of an id, `orders` has what quotes and jobs
share, `lists` writes every list. Nothing here knows the service: only `broker.client`.
"""
