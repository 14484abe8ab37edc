// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {Expected} from "../support/Expected.sol";
import {RegistryTest} from "../support/RegistryTest.sol";
import {Vm} from "../support/Vm.sol";

/// @dev In the receiver hook of a mint the registrant already manages the agent, before it is announced.
/// The logs must come as the deployed contract has them, and must contradict the state as there.
contract ReentrancyTest is RegistryTest {
    /// @dev As in `ReentrantRegistrant`, which a test does not import.
    enum Trap {
        None,
        SetURI,
        UnsetWallet,
        Move,
        RegisterAnother
    }

    address private _registrant;

    function setUp() public override {
        super.setUp();
        _registrant = vm.deployCode("ReentrantRegistrant.sol:ReentrantRegistrant");
    }

    function test_without_a_trap() public {
        _registerWith(Trap.None);

        assertLogged(address(identity), Expected.join(Expected.list(_minted(0)), _announced(0)));
    }

    function test_the_uri_is_set_before_an_empty_one_is_announced() public {
        _registerWith(Trap.SetURI);

        assertLogged(
            address(identity),
            Expected.join(
                Expected.list(
                    _minted(0), Expected.metadataUpdate(0), Expected.uriUpdated(0, "ipfs://true", _registrant)
                ),
                _announced(0)
            )
        );
        assertEq(identity.tokenURI(0), "ipfs://true", "URI");
    }

    /// @dev As above `Registered` has no URI after `URIUpdated`, but here it is right. The second
    /// `MetadataUpdate` is all that differs.
    function test_an_empty_uri_given_at_registration_replaces_the_one_of_the_hook() public {
        watchLogs();
        assertSucceeds(
            alice,
            _registrant,
            abi.encodeWithSignature(
                "registerWithURI(address,string,uint8,string,address)",
                address(identity),
                "",
                Trap.SetURI,
                "ipfs://lost",
                bob
            )
        );

        assertLogged(
            address(identity),
            Expected.join(
                Expected.list(
                    _minted(0),
                    Expected.metadataUpdate(0),
                    Expected.uriUpdated(0, "ipfs://lost", _registrant),
                    Expected.metadataUpdate(0)
                ),
                _announced(0)
            )
        );
        assertEq(identity.tokenURI(0), "", "URI");
    }

    function test_a_cleared_wallet_is_announced_all_the_same() public {
        _registerWith(Trap.UnsetWallet);

        assertLogged(
            address(identity),
            Expected.join(Expected.list(_minted(0), Expected.walletCleared(0)), _announced(0))
        );
        assertEq(identity.getAgentWallet(0), address(0), "wallet");
    }

    function test_an_agent_that_moved_on_is_announced_as_its_registrants() public {
        _registerWith(Trap.Move);

        assertLogged(
            address(identity),
            Expected.join(
                Expected.list(_minted(0), Expected.walletCleared(0), Expected.transfer(_registrant, bob, 0)),
                _announced(0)
            )
        );
        assertEq(identity.ownerOf(0), bob, "owner");
        assertEq(identity.getAgentWallet(0), address(0), "wallet");
    }

    function test_a_later_agent_is_announced_first() public {
        _registerWith(Trap.RegisterAnother);

        assertLogged(
            address(identity),
            Expected.join(Expected.list(_minted(0), _minted(1)), Expected.join(_announced(1), _announced(0)))
        );
        assertEq(identity.ownerOf(0), _registrant, "owner of 0");
        assertEq(identity.ownerOf(1), _registrant, "owner of 1");
    }

    function _registerWith(Trap trap) private {
        watchLogs();
        assertSucceeds(
            alice,
            _registrant,
            abi.encodeWithSignature(
                "register(address,uint8,string,address)", address(identity), trap, "ipfs://true", bob
            )
        );
    }

    function _minted(uint256 agentId) private view returns (Vm.Log memory) {
        return Expected.transfer(address(0), _registrant, agentId);
    }

    function _announced(uint256 agentId) private view returns (Vm.Log[] memory) {
        return Expected.list(
            Expected.registered(agentId, "", _registrant), Expected.walletSet(agentId, _registrant)
        );
    }
}
