"""Captions as CLIP reads them."""

from trainer.families.stable_diffusion.clip_text import ClipTokenizer


def test_token_ids_are_those_that_openai_published() -> None:
    assert ClipTokenizer.load().encode("a photo of a cat").token_ids == (49406, 320, 1125, 539, 320, 2368, 49407)


def test_a_long_caption_loses_its_end() -> None:
    caption = ClipTokenizer.load().encode("cat " * 100)
    assert len(caption.token_ids) == 77
    assert caption.token_ids[-1] == 49407


def test_padding_is_not_among_the_tokens_that_are_billed() -> None:
    tokenizer = ClipTokenizer.load()
    assert [len(tokenizer.encode(text).token_ids) for text in ("", "a cat")] == [2, 4]
    assert tokenizer.encode("a cat").padded(0)[:6] == [49406, 320, 2368, 49407, 0, 0]


def test_case_and_spaces_make_no_difference() -> None:
    tokenizer = ClipTokenizer.load()
    assert tokenizer.encode("  A   Photo ").token_ids == tokenizer.encode("a photo").token_ids
