"""Fapiao (发票): the tax documents beside our invoices, from the request to the number, and to the red one (红字).

Owns `fapiao`, `fapiao_files`. Customers and finance ask by REST; finance issues by hand in the tax bureau's own system
and tells number and file here: the manual port. Invariants: requested and issued fapiao come to no more than was
consumed when they were requested; where something is credited after, the difference is a debt (欠票), and nothing new
is requested before a red one settles it; a number is used once; a red one takes back no more than its fapiao has left.
What is requested, issued and taken back stands on the ledger, on accounts of the customer beside the money (decision
0090). Lock: the customer. It changes no invoice and moves no money: what was consumed is what final invoices say.
"""
