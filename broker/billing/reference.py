"""The code that a customer writes into a bank transfer, by which finance finds the invoice (附言): ISO 11649. Pure."""

from stdnum import iso11649
from stdnum.iso7064 import mod_97_10


def make_reference(number: str) -> str:
    """Make the reference of an invoice out of its number: two check digits tell a slip of the pen."""
    body = "".join(character for character in number.upper() if character.isalnum())
    return f"RF{mod_97_10.calc_check_digits(f'{body}RF')}{body}"


def is_reference(text: str) -> bool:
    """Tell whether a text, spaces and all, is a reference whose check digits fit."""
    return bool(iso11649.is_valid(text))
