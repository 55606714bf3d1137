"""What finance sees: month, invoices, closing, receivables, commitments, plan advice.

A page is `<page>_page.py` (its routes, thin) and `<page>_view.py` (frozen dataclasses and pure functions: rows → what
the template shows). It takes all else from `frame`, and knows no other group's pages.
"""
