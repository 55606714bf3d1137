"""`broker jobs`: submit, list, show, follow, control, download, over the REST API.

A module for each thing that one does with a job; `app` puts them together. What they write stands in `cli/texts`.
"""
