"""What ops does across features, and takes back: it asks each feature to do its own part, and has no rules of its own.

A decision is undone by the feature that it was about, through the same door and checks as it was made; the record in
`audit` says what was before. Invariant: nothing is undone that was changed since, and nothing twice.
"""
