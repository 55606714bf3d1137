"""Captions are found where people put them: beside their pictures, in whatever folder those are."""

import unicodedata

import pytest

from pricing.datasets.picture_listing import PictureListing, is_picture_name, list_named_pictures
from pricing.datasets.text_rows import TooManyRows


def listed(files: dict[str, str | bytes], *, max_rows: int | None = None) -> PictureListing:
    contents = {name: content if isinstance(content, bytes) else content.encode() for name, content in files.items()}
    return list_named_pictures(contents, contents.__getitem__, max_rows=max_rows)


def captions(listing: PictureListing) -> dict[str, str]:
    return {picture.name: picture.caption for picture in listing.pictures}


def problems(listing: PictureListing) -> list[tuple[str, str, int | None]]:
    return [(problem.code, problem.file, problem.line) for problem in listing.problems]


@pytest.mark.parametrize("metadata", ["style/metadata.csv", "style/Metadata.CSV"])
@pytest.mark.parametrize("name", ["1.png", "style/1.png", ".\\1.png"])
def test_metadata_in_a_folder_names_its_pictures_from_there_or_from_the_top(metadata: str, name: str) -> None:
    """A zipped folder lost all its captions."""
    listing = listed({metadata: f"file_name,text\n{name},a cup", "style/1.png": b""})
    assert captions(listing) == {"style/1.png": "a cup"}
    assert problems(listing) == []


def test_each_folder_has_metadata_of_its_own() -> None:
    files = {
        "a/metadata.csv": "file_name,text\n1.png,of a",
        "b/metadata.jsonl": '{"file_name": "1.png", "text": "of b"}',
        "metadata.csv": "file_name,text\nc/1.png,of c\na/1.png,again",
        **{f"{folder}/1.png": b"" for folder in "abc"},
    }
    listing = listed(files)
    assert captions(listing) == {"a/1.png": "again", "b/1.png": "of b", "c/1.png": "of c"}
    assert problems(listing) == [("metadata_row", "a/metadata.csv", 2)]
    assert "was named before, in line 3 of metadata.csv" in listing.problems[0].message


def test_accent_that_macos_writes_in_two_characters_is_the_same_name() -> None:
    name = "café.png"
    files = {unicodedata.normalize("NFD", name): b"", "metadata.csv": f"file_name,text\n{name},a cup"}
    listing = listed(files)
    assert (list(captions(listing).values()), problems(listing)) == (["a cup"], [])


@pytest.mark.parametrize("codec", ["gbk", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize("file", ["metadata.csv", "metadata.jsonl", "1.txt"])
def test_captions_of_windows_are_read(codec: str, file: str) -> None:
    text = {"metadata.csv": "file_name,text\r\n1.png,青花瓷碗\r\n", "1.txt": "青花瓷碗\r\n"}
    content = text.get(file, '{"file_name": "1.png", "text": "青花瓷碗"}\r\n').encode(codec)
    listing = listed({"1.png": b"", file: content})
    assert captions(listing) == {"1.png": "青花瓷碗"}
    guessed = [(problem.code, problem.level) for problem in listing.problems]
    assert guessed == ([("encoding_guessed", "hint")] if codec == "gbk" else [])


def test_what_is_not_read_gets_a_word() -> None:
    listing = listed({"1.png": b"", "2.txt": "alone", "train.jsonl": "{}", "notes.md": "x", ".hidden": "x"})
    levels = [(problem.file, problem.level) for problem in listing.problems]
    assert levels == [("2.txt", "warning"), ("notes.md", "hint"), ("train.jsonl", "hint")]


def test_a_text_file_whose_picture_has_a_caption_elsewhere_is_not_called_alone() -> None:
    files = {"1.png": b"", "1.txt": "x", "2.txt": "y", "metadata.csv": "file_name,text\n1.png,a cup\n"}
    assert [problem[:2] for problem in problems(listed(files))] == [
        ("sidecar_unread", "1.txt"),
        ("sidecar_alone", "2.txt"),
    ]


def test_comma_that_is_not_in_quotes_loses_no_text_in_silence() -> None:
    """`1.png,a cup, blue` became the caption `a cup`."""
    listing = listed({"1.png": b"", "metadata.csv": "file_name,text\n1.png,a cup, blue\n"})
    assert problems(listing) == [("metadata_row", "metadata.csv", 2)]


def test_captions_after_a_quote_that_is_never_closed_are_still_read() -> None:
    listing = listed({"1.png": b"", "2.png": b"", "metadata.csv": 'file_name,text\n1.png,"a cup\n2.png,a bowl\n'})
    assert problems(listing) == [("metadata_row", "metadata.csv", 2)]
    assert "close each quote" in listing.problems[0].message
    assert captions(listing)["2.png"] == "a bowl"


def test_metadata_has_a_limit_of_rows() -> None:
    content = "file_name,text\n" + "x.png,y\n" * 4
    with pytest.raises(TooManyRows):
        listed({"1.png": b"", "metadata.csv": content}, max_rows=3)


def test_hidden_folders_and_clutter_are_left_aside_with_a_word() -> None:
    """Past fault: the older copies that Jupyter keeps in `.ipynb_checkpoints` were trained on."""
    hidden = [".ipynb_checkpoints/1-checkpoint.png", "a/.ipynb_checkpoints/1.txt", "@eaDir/1.png", "__MACOSX/._1.png"]
    listing = listed({"1.png": b"", "metadata.csv": "file_name,text\n1.png,a cup\n"} | dict.fromkeys(hidden, b""))
    assert captions(listing) == {"1.png": "a cup"}
    (told,) = listing.problems
    assert (told.code, told.level, told.rows) == ("file_hidden", "hint", 0)
    assert "and 2 more such files" in told.message


@pytest.mark.parametrize(
    "name",
    [
        *("b~.png", "#b.png", "~b.png", "~$b.png", ".~lock.b.png", "a/b~.webp", "lost+found/1.png", "Thumbs/1.png"),
        *(
            "@eaDir/1.png",
            "$RECYCLE.BIN/1.png",
            "System Volume Information/1.png",
            "a/#recycle/1.png",
            "FOUND.000/1.png",
        ),
        *("LOST.DIR/1.png", "_vti_cnf/1.png", "a/@__thumb/1.png", "Network Trash Folder/1.png", "._1.png"),
    ],
)
def test_copies_of_editors_and_folders_of_systems_are_no_data(name: str) -> None:
    assert not is_picture_name(name)
    listing = listed({"1.png": b"", name: b"", "metadata.csv": f"file_name,text\n1.png,a cup\n{name},again\n"})
    assert captions(listing) == {"1.png": "a cup"}
    missing, *_told = listing.problems
    assert (missing.code, missing.line) == ("file_missing", 3)
    assert "which is left aside for its name; rename the picture" in missing.to_finding().message


@pytest.mark.parametrize("name", ["#1.png", "IMG_00~1.JPG", "c#.png", "a~b/1.png", "found/1.png", "my thumbs/1.png"])
def test_names_that_only_look_alike_are_data(name: str) -> None:
    assert captions(listed({name: b""})) == {name: ""}


@pytest.mark.parametrize(("here", "there"), [("b.png", "B.PNG"), ("É.png", "é.PNG"), ("A/b.png", "a/B.png")])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_name_in_another_case_is_the_same_picture(here: str, there: str, form: str) -> None:
    """Past fault: `b.png` of the list was not there, and `B.PNG` had no caption: two losses for one picture."""
    there = unicodedata.normalize(form, there)
    listing = listed({there: b"", "metadata.csv": f"file_name,text\n{here},a cup\n"})
    assert (captions(listing), problems(listing)) == ({there: "a cup"}, [])
    beside = listed({there: b"", here.replace(".png", ".TXT"): "a cup"})
    assert (captions(beside), problems(beside)) == ({there: "a cup"}, [])


def test_of_two_pictures_that_differ_in_case_each_has_its_own_row() -> None:
    rows = "file_name,text\nb.png,small\nB.PNG,large\nB.png,neither\n"
    listing = listed({"b.png": b"", "B.PNG": b"", "metadata.csv": rows})
    assert captions(listing) == {"B.PNG": "large", "b.png": "small"}
    assert problems(listing) == [("file_missing", "metadata.csv", 4)]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_text_file_beside_a_picture_may_write_its_accents_otherwise(form: str) -> None:
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    files = {f"{unicodedata.normalize(form, 'café')}.png": b"", f"{unicodedata.normalize(other, 'café')}.txt": "a cup"}
    listing = listed(files)
    assert (list(captions(listing).values()), problems(listing)) == (["a cup"], [])


@pytest.mark.parametrize(
    ("metadata", "table"),
    [
        ("metadata.csv", "file_name;text\r\n1.png;1girl, solo, long hair\r\n"),
        ("metadata.csv", "sep=;\nfile_name;text\n1.png;1girl, solo, long hair"),
        ("metadata.tsv", "file_name\ttext\n1.png\t1girl, solo, long hair"),
        ("metadata.csv", 'File_Name , Text\n1.png,"1girl, solo, long hair"'),
        ("metadata.jsonl", '{"file_name": "1.png", "text": "1girl, solo, long hair", "weight": 1}'),
    ],
)
def test_tables_as_programs_write_them_are_read(metadata: str, table: str) -> None:
    listing = listed({"1.png": b"", metadata: table})
    assert captions(listing) == {"1.png": "1girl, solo, long hair"}
    assert problems(listing) == []


def test_keys_that_change_how_a_picture_is_learnt_are_honoured_or_refused() -> None:
    rows = ['{"file_name": "1.png", "text": "a", "weight": 0}', '{"file_name": "2.png", "text": "b", "mask": "m.png"}']
    listing = listed({"1.png": b"", "2.png": b"", "metadata.jsonl": "\n".join(rows)})
    assert captions(listing) == {}
    assert listing.lost == {"1.png", "2.png"}
    assert problems(listing) == [("metadata_row", "metadata.jsonl", 2), ("picture_set_aside", "metadata.jsonl", 1)]


@pytest.mark.parametrize(
    ("metadata", "table", "lost"),
    [
        ("metadata.csv", "file_name,text\n1.png,1girl, solo\n2.png,b\n3.png,c\n", "1"),
        ("metadata.csv", "text,file_name\n1girl, solo,1.png\nb,2.png\nc,3.png\n", "1"),
        ("metadata.csv", "file_name,text\n1.png\n2.png,b\n3.png,c\n", "1"),
        ("metadata.csv", 'file_name,text\n1.png,a "cup" here\n2.png,b\n"3.png","c" more\n', "3"),
        ("metadata.csv", 'file_name,text\n1.png,"a cup\n2.png,"b\n3.png,c\n', "12"),
        ("metadata.csv", "path,caption,path\n1.png,a,x\n2.png,b,x\n3.png,c,x\n", "123"),
        ("metadata.csv", "path,caption\n1.png,a\n2.png,b\n3.png,c\n", "123"),
        ("metadata.jsonl", '{"file_name": "1.png", "text": "a}\n{"file_name": "2.png", "text": 2}\n', "12"),
    ],
)
def test_a_picture_whose_row_is_refused_is_counted_with_its_row(metadata: str, table: str, lost: str) -> None:
    """Past fault: three pictures, one with a comma outside of quotes, were "4 read, 2 refused": its row, and it."""
    names = ["1.png", "2.png", "3.png"]
    listing = listed(dict.fromkeys(names, b"") | {metadata: table, "1.txt": "another caption"})
    assert listing.lost == {f"{number}.png" for number in lost}
    assert list(captions(listing)) == [name for name in names if name not in listing.lost]
    assert sum(problem.rows for problem in listing.problems) == len(lost)


def test_a_picture_that_another_row_names_well_is_learnt() -> None:
    listing = listed({"1.png": b"", "metadata.csv": "file_name,text\n1.png,a, b\n1.png,a cup\n1.png,c, d\n"})
    assert (captions(listing), listing.lost) == ({"1.png": "a cup"}, set())
    assert problems(listing) == [("metadata_row", "metadata.csv", 2), ("metadata_row", "metadata.csv", 4)]
