"""Documents of final invoices, as finance sends them out: PDF, CSV, XLSX; each the same bytes for ever.

What a document says is gathered once (`document`), in plain values, and written by who knows the format: `pdf` by
Typst, with the evidence inside, `table` and `workbook` for spreadsheets. `words` has what is said in Chinese and in
English. It changes nothing, and a draft has no document.
"""
