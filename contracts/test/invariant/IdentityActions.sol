// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";

import {IIdentity} from "../support/RegistryTest.sol";
import {TestBase} from "../support/TestBase.sol";
import {Replay} from "./Replay.sol";

/// @title What the fuzzer may do to the identity registry, each action one transaction whose logs are replayed.
contract IdentityActions is TestBase {
    IIdentity private immutable _identity;
    address private immutable _trapper;
    Replay public immutable replay = new Replay();

    /// @dev How many agents there should be.
    uint256 public count;
    uint256 private _transactions;

    constructor(IIdentity identity) {
        _identity = identity;
        _trapper = vm.deployCode("ReentrantRegistrant.sol:ReentrantRegistrant");
    }

    modifier replayed() {
        watchLogs();
        _;
        replay.read(vm.getRecordedLogs(), ++_transactions);
    }

    function register(uint256 who, bool withURI, string calldata uri) external replayed {
        vm.prank(_person(who));
        if (withURI) _identity.register(uri);
        else _identity.register();
        count++;
    }

    /// @dev `form`: without a URI, with an empty one, with one.
    function registerWithTrap(uint256 form, uint256 trap, string calldata uri, uint256 recipient)
        external
        replayed
    {
        trap = bound(trap, 0, 4);
        bytes memory call = form % 3 == 0
            ? abi.encodeWithSignature(
                "register(address,uint8,string,address)", _identity, trap, uri, _person(recipient)
            )
            : abi.encodeWithSignature(
                "registerWithURI(address,string,uint8,string,address)",
                _identity,
                form % 3 == 1 ? "" : "ipfs://registered",
                trap,
                uri,
                _person(recipient)
            );
        (bool success,) = _trapper.call(call);
        assertTrue(success, "registration with a trap");
        count += trap == 4 ? 2 : 1;
    }

    function setURI(uint256 agentId, string calldata uri) external replayed {
        agentId = _known(agentId);
        vm.prank(_identity.ownerOf(agentId));
        _identity.setAgentURI(agentId, uri);
    }

    function setWallet(uint256 agentId, uint256 key) external replayed {
        agentId = _known(agentId);
        key = bound(key, 1, 1e9);
        address owner = _identity.ownerOf(agentId);
        bytes memory signature = _signature(agentId, owner, key);
        vm.prank(owner);
        _identity.setAgentWallet(agentId, vm.addr(key), block.timestamp, signature);
    }

    function unsetWallet(uint256 agentId) external replayed {
        agentId = _known(agentId);
        vm.prank(_identity.ownerOf(agentId));
        _identity.unsetAgentWallet(agentId);
    }

    function move(uint256 agentId, uint256 to) external replayed {
        agentId = _known(agentId);
        address owner = _identity.ownerOf(agentId);
        vm.prank(owner);
        _identity.transferFrom(owner, _person(to), agentId);

        assertEq(_identity.getAgentWallet(agentId), address(0), "wallet after a transfer");
    }

    /// @dev Strangers try everything and must never get through. Not replayed: forge records the logs of calls
    /// that failed, too.
    function trespass(uint256 agentId, uint256 what) external {
        agentId = _known(agentId);
        address stranger = actor("stranger");
        bytes[4] memory calls = [
            abi.encodeCall(_identity.setAgentURI, (agentId, "stolen")),
            abi.encodeCall(_identity.unsetAgentWallet, (agentId)),
            abi.encodeCall(_identity.setMetadata, (agentId, "agentWallet", "stolen")),
            abi.encodeCall(IERC721.transferFrom, (_identity.ownerOf(agentId), stranger, agentId))
        ];
        vm.prank(stranger);
        (bool success,) = address(_identity).call(calls[what % calls.length]);
        assertFalse(success, "a stranger got through");
    }

    function _known(uint256 agentId) private view returns (uint256) {
        vm.assume(count > 0);
        return agentId % count;
    }

    function _person(uint256 who) private pure returns (address) {
        return address(uint160(0x1000 + who % 5));
    }

    function _signature(uint256 agentId, address owner, uint256 key) private view returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("ERC8004IdentityRegistry"),
                keccak256("1"),
                block.chainid,
                address(_identity)
            )
        );
        bytes32 typeHash = 0x678b53cd718d595370ab070ebf48edfdcd834beac116bf23e625fc7f4d5b7d32;
        bytes32 message = keccak256(abi.encode(typeHash, agentId, vm.addr(key), owner, block.timestamp));
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain, message)));
        return abi.encodePacked(r, s, v);
    }
}
