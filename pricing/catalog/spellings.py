"""What the spellings of one name have in common. Pure."""

import re

# Words that makers, drivers and shops put around what tells one card from another.
WORDS_AROUND_CARDS = re.compile(r"nvidia|geforce|tesla|generation|gpu")
OTHER_WORDS_FOR_A_LAPTOP = re.compile(r"mobile|notebook")


def fold_spelling(name: str) -> str:
    """Reduce a name to what its spellings have in common: letters and digits in lower case; 40GB is 40G."""
    folded = "".join(filter(str.isalnum, name.casefold()))
    return folded.removesuffix("b") if folded.endswith("gb") else folded


def fold_card(name: str) -> str:
    """Reduce the name of a card further: `NVIDIA GeForce RTX 4070 Laptop GPU` is `RTX 4070 mobile`."""
    return OTHER_WORDS_FOR_A_LAPTOP.sub("laptop", WORDS_AROUND_CARDS.sub("", fold_spelling(name)))
