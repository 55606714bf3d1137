"""What is raised of a proposal that cannot be."""


class BadProposal(ValueError):
    """A proposal that cannot be; the message names the field and what it must be."""
