"""Every topic0 the reference names, computed anew from the declarations."""

from __future__ import annotations

import pytest
from eth_hash.auto import keccak

from renown.spec import abi

CURRENT = {
    "Registered": "ca52e62c367d81bb2e328eb795f7c7ba24afb478408a26c0e201d155c449bc4a",
    "MetadataSet": "2c149ed548c6d2993cd73efe187df6eccabe4538091b33adbd25fafdb8a1468b",
    "URIUpdated": "3a2c7fffc2cba7582c690e3b82c453ea02a308326a98a3ad7576c606336409fb",
    "Transfer": "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
    "Approval": "8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925",
    "ApprovalForAll": "17307eab39ab6107e8899845ad3d59bd9653f200f220920489ca2b5937696c31",
    "MetadataUpdate": "f8e1a15aba9398e019f0b49df1a4fde98ee17ae345cb5f6b5e2c27f5033e8ce7",
    "BatchMetadataUpdate": "6bd5c950a8d8df17f772f5af37cb3655737899cbf903264b9795592da439661c",
    "EIP712DomainChanged": "0a6387c9ea3628b88a633bb4f3b151770f70085117a15f9bf3787cda53f13d31",
    "NewFeedback": "6a4a61743519c9d648a14e6493f47dbe3ff1aa29e7785c96c8326a205e58febc",
    "FeedbackRevoked": "25156fd3288212246d8b008d5921fde376c71ed14ac2e072a506eb06fde6d09d",
    "ResponseAppended": "b1c6be0b5b8aef6539e2fac0fd131a2faa7b49edf8e505b5eb0ad487d56051d4",
    "ValidationRequest": "530436c3634a98e1e626b0898be2f1e9980cc1bd2a78c07a0aba52d0a48a5059",
    "ValidationResponse": "afddf629e874ccc3963b6a888c477bd464a6c8525024fc88759ea3b2326349ae",
    "Upgraded": "bc7cd75a20ee27fd9adebab32041f755214dbc6bffa90cc0225b39da2e5c2d3b",
    "Initialized": "c7f505b2f371ae2175ee4913f4499e1f2633a7b5936321eed1cdaeb6115181d2",
    "OwnershipTransferred": "8be0079c531659141344cd1fd0a4f28419497f9722a3daafe3b4186f6b6457e0",
}

LEGACY = {
    "NewFeedback(uint256,address,uint8,bytes32,bytes32,string,bytes32)": (
        "54b3254e4cc01969e70376d20390cc2f6af90539d9adaa78a53ebcda17f78154"
    ),
    "NewFeedback(uint256,address,uint64,uint8,string,string,string,string,bytes32)": (
        "801d7d4264128f6f43835850f1fabb91902c3543c3738f1f62fbf7e9fd80531d"
    ),
    "NewFeedback(uint256,address,uint64,uint8,string,string,string,string,string,bytes32)": (
        "31f01d2aa5cdbe0619011211e9ffc39d678bc82e46d60c35953396ae61e896d8"
    ),
    "NewFeedback(uint256,address,uint64,uint256,uint8,string,string,string,string,string,bytes32"
    ")": ("a96589249279e205e9aa2d2299594d8c5c745cf90e49514145db5dbdea256240"),
    "NewFeedback(uint256,address,uint64,int256,uint8,string,string,string,string,string,bytes32)": (
        "413f2d30fdbc0b49e55537333a7c6287556f671f40c7e2dc00fc7ca1ced350da"
    ),
    "UriUpdated(uint256,string,address)": (
        "b41beef75d9f8d55b985319b459e96f82453580af381391f1ad531eb8f8b5a3a"
    ),
    "ValidationResponse(address,uint256,bytes32,uint8,string,bytes32,bytes32)": (
        "f224d3d5ad74301be48e4d51ca5f1b24c7946875887327585becc59165297dcf"
    ),
    "ValidationResponse(address,uint256,bytes32,uint8,string,bytes32)": (
        "cc61e07d65464186112fdaddb4b11ccef1928644b11f17e2864b38b451195671"
    ),
    "ResponseAppended(uint256,address,uint64,address,string)": (
        "91a4f57c12b47a488ba7365f0e60d24a1348fc94afddf6c60e0e22b018365408"
    ),
}


def test_current_events__hashed__have_the_topics_of_the_reference() -> None:
    assert {event.name: event.topic0.hex() for event in abi.CURRENT} == CURRENT


def test_legacy_events__hashed__have_the_topics_of_the_reference() -> None:
    assert {event.signature: event.topic0.hex() for event in abi.LEGACY} == LEGACY


def test_topics__of_all_events__differ() -> None:
    assert len({event.topic0 for event in abi.EVENTS}) == len(abi.EVENTS) == 26


@pytest.mark.parametrize("event", abi.EVENTS, ids=lambda event: event.signature)
def test_event__fits_a_log__and_hashes_its_own_signature(event: abi.EventAbi) -> None:
    assert 1 <= event.topic_count <= 4
    assert event.topic0 == keccak(event.signature.encode())
    assert len({param.name for param in event.params}) == len(event.params)
    assert event.roles


def test_declaration__with_blanks_and_indexed__is_read() -> None:
    got = abi.event("Moved(uint256 indexed id, bytes  to)", "identity")

    assert got.signature == "Moved(uint256,bytes)"
    assert got.params == (abi.Param("id", "uint256", True), abi.Param("to", "bytes", False))
    assert got.topic_count == 2
