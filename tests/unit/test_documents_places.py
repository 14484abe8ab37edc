"""JSON pointers as lines of the file, for annotations."""

from __future__ import annotations

from renown.spec.documents.places import lines_of

FILE = b"""{
  "name": "a",
  "x/y~z": 1,
  "services": [
    {"name": "one",
     "endpoint": "https://{}[],:\\" \\n"},

    {
      "name": "two"
    },
    5, "six",
    [7,
     8]
  ],
  "last": {"deep":
    {"er": true}}
}
"""


def test_lines_of__keys_and_entries__are_where_they_begin() -> None:
    lines = {
        "": 1,
        "/name": 2,
        "/x~1y~0z": 3,
        "/services": 4,
        "/services/0": 5,
        "/services/0/endpoint": 6,
        "/services/1": 8,
        "/services/1/name": 9,
        "/services/2": 11,
        "/services/3": 11,
        "/services/4": 12,
        "/services/4/0": 12,
        "/services/4/1": 13,
        "/last": 15,
        "/last/deep/er": 16,
    }

    assert lines_of(FILE, lines) == lines


def test_lines_of__what_is_not_there__is_the_line_of_what_lacks_it() -> None:
    assert lines_of(FILE, ["/type", "/services/1/endpoint", "/services/99", "/no/where"]) == {
        "/type": 1,
        "/services/1/endpoint": 8,
        "/services/99": 4,
        "/no/where": 1,
    }


def test_lines_of__a_file_that_is_no_json__does_not_fail() -> None:
    for raw in (b"", b"]]}}", b"\xff\xfe", b'{"a"', b"<html>\n", b'"' * 999, b"[" * 9_999, b",,,"):
        assert lines_of(raw, ["/a", ""])[""] == 1


def test_lines_of__a_key_that_stands_twice__is_the_first() -> None:
    assert lines_of(b'{"a":1,\n"a":2}', ["/a"]) == {"/a": 1}
