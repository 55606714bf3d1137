"""Bytes to text where nobody says in which encoding: by mark, as UTF-8, or as the GBK that Chinese Windows writes.

What is neither is not guessed at. GBK takes nearly any bytes, so that it counts only where the characters are those
that people write: GB 2312 (Source: GB 2312-80, whose double bytes are both at least 0xA1) makes up all of the usual
Chinese, while Western, Japanese and Big5 bytes read as GBK fall outside of it.
"""

import codecs
from dataclasses import dataclass

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
CURE = "save the file as UTF-8"
USUAL_SHARE = 0.9
LOWEST_GB2312_BYTE = 0xA1
JUDGED_CHARACTERS = 20_000
JUDGED_BYTES = 4096
MANY_ZEROS, FEW_ZEROS = 0.25, 0.1  # share of the places that hold the high byte; share of the others beside them


class EncodingUnknown(ValueError):
    """The bytes are in no encoding that can be told; the message says where they stop being what they seem."""


@dataclass(frozen=True)
class DecodedText:
    """A text and the name of its encoding; `is_guess` where nothing in the bytes says so."""

    text: str
    encoding: str
    is_guess: bool = False


def decode_text(content: bytes) -> DecodedText:
    """Decode the content of a file. Raises: EncodingUnknown."""
    for mark, codec, name in MARKS:
        if content.startswith(mark):
            try:
                return DecodedText(content.decode(codec), name)
            except UnicodeDecodeError as error:
                raise EncodingUnknown(f"is not {name} (byte {error.start})") from error
    zeros = _find_utf16(content)
    if zeros is not None:
        return zeros
    try:
        return DecodedText(content.decode(), "UTF-8")
    except UnicodeDecodeError as error:
        text = decode_gbk(content)
        if text is None:
            raise EncodingUnknown(f"is not UTF-8 (byte {error.start}), nor GBK") from error
        return DecodedText(text, "GBK", is_guess=True)


def _find_utf16(content: bytes) -> DecodedText | None:
    """Decode UTF-16 without a mark: it has zeros in every second place where the text is Latin, as headings are.

    UTF-8 has none at all. Raises: EncodingUnknown.
    """
    even, odd = content[:JUDGED_BYTES:2].count(0), content[1:JUDGED_BYTES:2].count(0)
    if not even and not odd:
        return None
    codec = "utf-16-le" if odd > even else "utf-16-be"
    more, fewer = max(even, odd), min(even, odd)
    if len(content) % 2 or more < MANY_ZEROS * len(content[:JUDGED_BYTES]) / 2 or fewer > more * FEW_ZEROS:
        return None
    try:
        return DecodedText(content.decode(codec), "UTF-16", is_guess=True)
    except UnicodeDecodeError as error:
        raise EncodingUnknown(f"is not UTF-16 (byte {error.start})") from error


def decode_gbk(content: bytes) -> str | None:
    """Decode bytes as GB 18030, of which GBK is a part; None where they are not, or hold little usual Chinese."""
    try:
        text = content.decode("gb18030")
    except UnicodeDecodeError:
        return None
    judged = [character for character in text if not character.isascii()][:JUDGED_CHARACTERS]
    usual = sum(_is_gb2312(character) for character in judged)
    return text if judged and usual >= USUAL_SHARE * len(judged) else None


def _is_gb2312(character: str) -> bool:
    encoded = character.encode("gb18030")
    return len(encoded) == 2 and min(encoded) >= LOWEST_GB2312_BYTE
