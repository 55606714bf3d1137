"""A guard against a fault of before: of more than one thing Chinese pages told in English."""

from broker.console.frame.catalogue import load_translations


def test_several_of_a_thing_are_told_in_the_language_of_the_page() -> None:
    words = load_translations("zh", "frame")
    told = {words.ngettext("%(num)s row shown", "%(num)s rows shown", number) for number in (1, 2, 40)}
    assert told == {"显示 %(num)s 行"}
