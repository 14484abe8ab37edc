// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {RegistryTest} from "../support/RegistryTest.sol";
import {IdentityActions} from "./IdentityActions.sol";

contract IdentityInvariants is RegistryTest {
    IdentityActions private _actions;

    function setUp() public override {
        super.setUp();
        _actions = new IdentityActions(identity);
    }

    /// @dev Tells forge what to call.
    function targetContracts() external view returns (address[] memory) {
        return _one(address(_actions));
    }

    /// @dev The agents are 0..n-1: none missing, none beyond, every one announced once.
    function invariant_ids_have_no_gap() public {
        uint256 count = _actions.count();
        for (uint256 i = 0; i < count; i++) {
            assertTrue(identity.ownerOf(i) != address(0), "owner");
        }
        (bool exists,) = address(identity).call(abi.encodeCall(identity.ownerOf, (count)));
        assertFalse(exists, "an agent beyond the last");
        assertEq(_actions.replay().announced(), count, "announced");
    }

    /// @dev Whoever reads only logs, with the rules of `Replay`, knows what the registry knows.
    function invariant_logs_tell_the_state() public view {
        uint256 count = _actions.count();
        for (uint256 i = 0; i < count; i++) {
            (address owner, string memory uri, bytes memory wallet) = _actions.replay().agent(i);
            assertEq(owner, identity.ownerOf(i), "owner");
            assertEq(uri, identity.tokenURI(i), "URI");
            assertEq(wallet, identity.getMetadata(i, "agentWallet"), "wallet");
        }
    }
}
