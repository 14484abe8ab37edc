import hashlib
import tracemalloc

import pytest

from renown.offchain.cid import DAG_PB, RAW, Cid, cid_of, read_cid
from renown.offchain.unixfs import MOST_BLOCK_BYTES, MOST_FIELDS, Node, file_block, read_node

HELLO_V0 = "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"
EMPTY_FILE = "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"
EMPTY_FOLDER = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
HELLO_DIGEST = hashlib.sha256(b"hello world\n").digest()
RAW_HELLO = Cid(RAW, 0x12, HELLO_DIGEST)


def test_cid__published_examples__name_what_they_should():
    hello, empty, folder = (read_cid(text) for text in (HELLO_V0, EMPTY_FILE, EMPTY_FOLDER))

    assert hello is not None
    assert empty is not None
    assert folder is not None
    assert hello.codec == DAG_PB
    assert hello.names(file_block(b"hello world\n"))
    assert not hello.names(file_block(b"hello world"))
    assert empty.names(file_block(b""))
    assert folder.names(b"\x0a\x02\x08\x01")
    assert read_node(b"\x0a\x02\x08\x01") == Node("folder")
    assert read_node(file_block(b"hello world\n")) == Node("file", b"hello world\n")


def test_cid__every_base__is_the_same():
    binary = b"\x01\x55\x12\x20" + HELLO_DIGEST
    texts = (
        "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4",
        "BAFKREIFJJCIE6LYPI6NY7AMXNFFTAGCLBUXNDQONFIPMB64F2KM2DEVEI4",
        "f01551220" + HELLO_DIGEST.hex(),
        "F01551220" + HELLO_DIGEST.hex().upper(),
    )

    assert [read_cid(text) for text in texts] == [RAW_HELLO] * 4
    assert cid_of(binary) == RAW_HELLO
    assert RAW_HELLO.names(b"hello world\n")


@pytest.mark.parametrize(
    "text",
    [
        *("", "Qm", "Qm" + "0" * 44, "0xdeadbeef", "b", "bafk", "f0155", "fzz", "zzz0", "u!!!!"),
        *("é" * 46, "b" + "a" * 300, "Q" * 46, HELLO_V0 + "x", HELLO_V0[:-1], "b1888"),
    ],
)
def test_a8_cid__what_is_none__is_none(text):
    assert read_cid(text) is None


def test_cid__unknown_hash__is_neither_right_nor_wrong():
    assert Cid(RAW, 0x1B, bytes(32)).names(b"") is None
    assert Cid(RAW, 0x00, b"inline").names(b"inline")
    assert Cid(RAW, 0x00, b"inline").inline == b"inline"


@pytest.mark.parametrize(
    "block",
    [
        *(b"", b"\x0a", b"\x0a\x05\x08\x02", b"\xff" * 11, b"\x0b", b"\x08\x01", b"\x0a\x00\x0a"),
        *(b'{"name": "x"}', b"<html>", b"\x0a\x04\x08\x02\x10"),
    ],
)
def test_a8_node__what_is_no_file__is_none_or_holds_nothing(block):
    node = read_node(block)

    assert node is None or not (node.content or node.links)


def test_node__file_in_pieces_or_sharded__is_not_taken_for_a_file():
    link = b"\x12\x04\x0a\x00\x12\x00"

    assert read_node(link + b"\x0a\x02\x08\x02") == Node("part")
    assert read_node(b"\x0a\x02\x08\x05") == Node("other")
    assert read_node(link + b"\x0a\x04\x08\x02\x18\x07") == Node("part", size=7)


FOLDER = b"\x0a\x02\x08\x01"


@pytest.mark.parametrize("link", [b"\x0a\xff", b"\x12\x05a", b"\xff" * 11, b"\x0b"])
def test_a8_node__folder_with_a_broken_link__is_none(link):
    assert read_node(FOLDER + bytes([0x12, len(link)]) + link) is None


@pytest.mark.parametrize(
    "block",
    [
        FOLDER + b"\x12\x00" * (MOST_FIELDS + 1),
        b"\x08\x00" * (MOST_FIELDS + 1) + FOLDER,
        file_block(b"x" * MOST_BLOCK_BYTES),
        FOLDER + (b"\x12\x10" + b"\x08\x00" * 8) * (MOST_FIELDS // 8),  # within links
    ],
)
def test_a8_node__block_of_more_than_any_folder__is_none(block):
    assert read_node(block) is None


def test_a8_node__block_of_a_million_fields__is_given_up_early():
    block = b"\x12\x00" * (MOST_BLOCK_BYTES // 2)
    tracemalloc.start()
    try:
        assert read_node(block) is None
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most_bytes < 2_000_000


def test_node__folder_of_five_thousand__is_read():
    links = b"".join(
        b"\x12\x2c\x0a\x22\x12\x20" + HELLO_DIGEST + b"\x12\x04%04d\x18\x01" % n
        for n in range(5_000)
    )

    node = read_node(links + FOLDER)

    assert node is not None
    assert len(node.links) == 5_000
