"""The objects of the API as the client hands them on: JSON, unchanged; the types say what is in them.

Members that a program has no use for are left out here, and are there none the less. Times are UTC, as ISO 8601.
"""
