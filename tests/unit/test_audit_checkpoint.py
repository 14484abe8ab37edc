"""Checkpoints as C2SP signed notes, and the folder they are kept in."""

from __future__ import annotations

import base64
from hashlib import sha256
from pathlib import Path

import pytest
from Crypto.Signature import eddsa
from hypothesis import given, settings
from hypothesis import strategies as st

from renown.audit.chain import FIRST_LINK, link_hash
from renown.audit.checkpoint import Signer, Verifier, read_note, split_notes, verify_note
from renown.errors import AuditBroken, BadParameter, OutputFailed
from renown.ingest.notary.folder import LATEST, LOG, CheckpointFolder

SIGNER = Signer("log.example", bytes(range(32)))
VERIFIER = SIGNER.verifier
ROOT, LINK = sha256(b"root").digest(), sha256(b"link").digest()
NOTE = SIGNER.note(42, ROOT, LINK)


def test_note__written_out_by_the_specification__is_ours() -> None:
    """C2SP signed-note and tlog-checkpoint, step by step."""
    public = eddsa.import_private_key(bytes(range(32))).public_key().export_key(format="raw")
    key_id = sha256(b"log.example\n\x01" + public).digest()[:4]
    text = (
        "log.example\n42\n"
        f"{base64.b64encode(ROOT).decode()}\nlink {base64.b64encode(LINK).decode()}\n"
    )
    signed = eddsa.new(eddsa.import_private_key(bytes(range(32))), "rfc8032").sign(text.encode())

    line = f"— log.example {base64.b64encode(key_id + signed).decode()}\n"
    assert f"{text}\n{line}" == NOTE
    key = base64.b64encode(b"\x01" + public).decode()
    assert VERIFIER.text == f"log.example+{key_id.hex()}+{key}"


def test_verifier__of_the_published_example_of_notes__says_that_it_was_signed() -> None:
    """The example in the documentation of Go's package `note`, where signed notes come from."""
    text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    signed = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n\n"
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngot"
        "pRZb6KE6RyyBwJnAM=\n"
    )

    found = Verifier.read(text)

    assert found.text == text
    assert found.signed(signed)
    assert not found.signed(signed.replace("your", "my"))


def test_note__read_again__says_what_was_signed() -> None:
    found = verify_note(NOTE, [Signer("other", bytes(32)).verifier, VERIFIER])

    assert (found.origin, found.size, found.root_hash, found.link_hash) == (
        *("log.example", 42, ROOT, LINK),
    )
    assert Verifier.read(VERIFIER.text) == VERIFIER
    assert SIGNER.note(42, ROOT, LINK) == NOTE


@settings(max_examples=80)
@given(st.integers(0, len(NOTE) - 1), st.characters(codec="utf-8"))
def test_note__any_character_changed__is_refused_or_says_the_same(at: int, other: str) -> None:
    changed = NOTE[:at] + other + NOTE[at + 1 :]
    if changed == NOTE:
        return

    with pytest.raises(AuditBroken):
        verify_note(changed, [VERIFIER])


@pytest.mark.parametrize(
    "note",
    [
        *("", "\n", "\n\n", NOTE[:-20], NOTE.partition("\n\n")[0], "x" * 10_000),
        NOTE.replace("\n42\n", "\n042\n"),
        NOTE.replace("\n42\n", "\n-42\n"),
        NOTE.replace("link ", "other "),
        NOTE.replace("log.example\n42", "log.example\n42\n42"),
        NOTE + NOTE,
        SIGNER.note(42, ROOT[:31], LINK),
    ],
)
def test_note__malformed__is_refused(note: str) -> None:
    with pytest.raises(AuditBroken):
        verify_note(note, [VERIFIER])


def test_note__of_another_key_of_the_same_name__is_refused() -> None:
    forged = Signer("log.example", bytes(32)).note(42, ROOT, LINK)

    with pytest.raises(AuditBroken):
        verify_note(forged, [VERIFIER])
    assert read_note(forged).size == 42


@pytest.mark.parametrize(
    "text",
    [
        *("", "log.example", "a+b+c", VERIFIER.text[:-4], VERIFIER.text.replace("+", " ", 1)),
        VERIFIER.text.replace("log.", "lag."),
        f"x+00000000+{base64.b64encode(bytes(33)).decode()}",
    ],
)
def test_verifier__malformed_or_not_of_its_id__is_refused(text: str) -> None:
    with pytest.raises(BadParameter):
        Verifier.read(text)


def test_link__of_the_first_entry__follows_32_zeros() -> None:
    assert link_hash(FIRST_LINK, ROOT) == sha256(b"\x00" + bytes(32) + ROOT).digest()


# The folder --------------------------------------------------------------------------------------


def note(size: int) -> str:
    return SIGNER.note(size, ROOT, LINK)


def test_folder__notes_added__are_all_there_in_order_and_the_latest_alone(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "made" / "here")
    assert folder.latest() is None
    assert list(folder.notes()) == []

    for size in range(1, 121):  # more than the tail that is read for the latest
        folder.add(note(size))

    assert list(folder.notes()) == [note(size) for size in range(1, 121)]
    assert folder.latest() == note(120) == (folder.path / LATEST).read_text()


def test_folder__a_note_cut_off_at_any_byte__is_left_out_and_taken_off(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.add(note(1))
    whole = (tmp_path / LOG).read_bytes()
    more = f"{note(2)}\n".encode()
    for cut in range(len(more)):
        (tmp_path / LOG).write_bytes(whole + more[:cut])
        assert folder.latest() == note(1)
        assert list(folder.notes()) == [note(1)]
        if cut % 9 == 0 or cut > len(more) - 4:
            folder.add(note(3))
            assert list(folder.notes()) == [note(1), note(3)]


def test_folder__nothing_but_a_torn_note__begins_anew(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    (tmp_path / LOG).write_text(note(1)[:50])

    folder.add(note(2))

    assert list(folder.notes()) == [note(2)]


def test_folder__that_cannot_be_written__says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputFailed, match="file"):
        CheckpointFolder(tmp_path / "file").add(note(1))


def test_folder__set_aside__begins_anew_and_keeps_what_was_signed(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    assert folder.set_aside() is None
    folder.add(note(5))

    aside = folder.set_aside()

    assert folder.latest() is None
    assert aside is not None
    assert list(split_notes(aside.read_text().split("\n"))) == [note(5)]
    assert folder.given_up() == [aside.name]
