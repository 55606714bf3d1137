"""Files are read in the encodings that editors write; what is none of them is refused, never read as something else."""

import codecs

import pytest

from pricing.datasets.text_decoding import EncodingUnknown, decode_gbk, decode_text

CHINESE = "水墨山水，远山如黛，一叶扁舟"


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (CHINESE.encode(), "UTF-8"),
        (codecs.BOM_UTF8 + CHINESE.encode(), "UTF-8"),
        (CHINESE.encode("utf-16"), "UTF-16"),
        (codecs.BOM_UTF16_BE + CHINESE.encode("utf-16-be"), "UTF-16"),
        (CHINESE.encode("utf-32"), "UTF-32"),
        (CHINESE.encode("gbk"), "GBK"),
    ],
)
def test_text_is_the_same_in_every_encoding_that_can_be_told(content: bytes, encoding: str) -> None:
    decoded = decode_text(content)
    assert (decoded.text, decoded.encoding) == (CHINESE, encoding)
    assert decoded.is_guess == (encoding == "GBK")


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("une crème brûlée à l'ombre", "latin-1"),
        ("Grüße aus München", "cp1252"),
        ("さくらの木の下で", "shift_jis"),
        ("一隻小船在湖面上漂流，遠山如黛", "big5"),
        ("Привет, мир", "cp866"),
        ("crème", "cp437"),
    ],
)
def test_other_encodings_are_not_taken_for_chinese(text: str, codec: str) -> None:
    assert decode_gbk(text.encode(codec)) is None
    with pytest.raises(EncodingUnknown, match="nor GBK"):
        decode_text(text.encode(codec))


def test_text_cut_in_the_middle_of_a_character_is_refused() -> None:
    with pytest.raises(EncodingUnknown, match="not UTF-16"):
        decode_text(codecs.BOM_UTF16_LE + b"a")
    with pytest.raises(EncodingUnknown, match="byte 2"):
        decode_text(b"ab\xff")
