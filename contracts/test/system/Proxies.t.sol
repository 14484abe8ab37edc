// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {Errors} from "../support/Errors.sol";
import {Expected} from "../support/Expected.sol";
import {IIdentity, IProxied, IReputation, RegistryTest} from "../support/RegistryTest.sol";
import {Vm} from "../support/Vm.sol";

contract ProxiesTest is RegistryTest {
    string private constant IDENTITY = "IdentityRegistry.sol:IdentityRegistry";
    string private constant REPUTATION = "ReputationRegistry.sol:ReputationRegistry";

    bytes private _initialize = abi.encodeWithSignature("initialize()");

    function test_a_proxy_starts_on_the_placeholder() public {
        address placeholder = vm.deployCode("UUPSPlaceholder.sol:UUPSPlaceholder");
        watchLogs();
        IProxied proxy = IProxied(_proxy(placeholder));

        assertLogged(
            address(proxy),
            Expected.list(
                Expected.upgraded(placeholder),
                Expected.ownershipTransferred(address(0), admin),
                Expected.initialized(1)
            )
        );
        assertEq(proxy.getVersion(), "1.0.0", "version");
        assertEq(proxy.owner(), admin, "owner");
    }

    function test_and_is_upgraded_to_its_registry() public {
        IProxied proxy = IProxied(_proxy(vm.deployCode("UUPSPlaceholder.sol:UUPSPlaceholder")));
        address implementation = vm.deployCode(IDENTITY);
        watchLogs();
        vm.prank(admin);
        proxy.upgradeToAndCall(implementation, _initialize);

        assertLogged(
            address(proxy), Expected.list(Expected.upgraded(implementation), Expected.initialized(2))
        );
        assertEq(proxy.getVersion(), "2.0.0", "version");
        assertEq(proxy.UPGRADE_INTERFACE_VERSION(), "5.0.0", "interface version");
        assertEq(
            vm.load(address(proxy), IMPLEMENTATION_SLOT), bytes32(uint256(uint160(implementation))), "slot"
        );
    }

    function test_versions() public view {
        assertEq(identity.getVersion(), "2.0.0", "identity");
        assertEq(reputation.getVersion(), "2.0.0", "reputation");
        assertEq(validation.getVersion(), "2.0.0", "validation");
        assertEq(reputation.getIdentityRegistry(), address(identity), "reputation's agents");
        assertEq(validation.getIdentityRegistry(), address(identity), "validation's agents");
    }

    function test_initialize_of_identity_reverts_in_order() public {
        assertReverts(bob, address(identity), _initialize, Errors.invalidInitialization());
        assertReverts(bob, _fresh(IDENTITY), _initialize, Errors.unauthorizedAccount(bob));
    }

    function test_initialize_of_reputation_reverts_in_order() public {
        bytes memory nowhere = abi.encodeWithSignature("initialize(address)", address(0));
        address fresh = _fresh(REPUTATION);

        assertReverts(bob, address(reputation), nowhere, Errors.invalidInitialization());
        assertReverts(bob, address(validation), nowhere, Errors.invalidInitialization());
        assertReverts(bob, fresh, nowhere, Errors.unauthorizedAccount(bob));
        assertReverts(admin, fresh, nowhere, Errors.reason("bad identity"));
    }

    function test_an_implementation_cannot_be_initialised() public {
        address implementation = vm.deployCode(IDENTITY);
        address placeholder = vm.deployCode("UUPSPlaceholder.sol:UUPSPlaceholder");
        bytes memory take = abi.encodeWithSignature("initialize(address)", bob);

        assertReverts(bob, implementation, _initialize, Errors.invalidInitialization());
        assertReverts(bob, placeholder, take, Errors.invalidInitialization());
    }

    function test_the_placeholder_is_initialised_once_with_an_owner() public {
        address proxy = _proxy(vm.deployCode("UUPSPlaceholder.sol:UUPSPlaceholder"));

        assertReverts(
            bob, proxy, abi.encodeWithSignature("initialize(address)", bob), Errors.invalidInitialization()
        );
    }

    function test_only_the_contract_owner_upgrades() public {
        address implementation = vm.deployCode(IDENTITY);
        bytes memory call = abi.encodeCall(IProxied.upgradeToAndCall, (implementation, ""));

        assertReverts(bob, address(identity), call, Errors.unauthorizedAccount(bob));
        assertSucceeds(admin, address(identity), call);
    }

    function test_an_upgrade_keeps_everything_and_need_not_initialise() public {
        _register(alice, "ipfs://a");
        address implementation = vm.deployCode(IDENTITY);
        watchLogs();
        vm.prank(admin);
        identity.upgradeToAndCall(implementation, "");

        assertLogged(address(identity), Expected.list(Expected.upgraded(implementation)));
        assertEq(identity.tokenURI(0), "ipfs://a", "URI");
        assertEq(identity.getAgentWallet(0), alice, "wallet");
        assertEq(_register(bob), 1, "next id");
    }

    function test_an_upgrade_goes_to_uups_code_only() public {
        bytes memory call = abi.encodeCall(IProxied.upgradeToAndCall, (address(this), ""));

        assertReverts(admin, address(identity), call, Errors.invalidImplementation(address(this)));
    }

    function test_the_uuid_is_for_the_implementation_alone() public {
        IProxied implementation = IProxied(vm.deployCode(IDENTITY));
        bytes memory call = abi.encodeCall(IProxied.proxiableUUID, ());

        assertEq(implementation.proxiableUUID(), IMPLEMENTATION_SLOT, "uuid");
        assertReverts(admin, address(identity), call, Errors.unauthorizedCallContext());
    }

    function test_ownership_moves_in_one_step() public {
        watchLogs();
        vm.prank(admin);
        identity.transferOwnership(bob);
        assertLogged(address(identity), Expected.list(Expected.ownershipTransferred(admin, bob)));

        bytes memory toNobody = abi.encodeCall(IProxied.transferOwnership, (address(0)));
        assertReverts(admin, address(identity), toNobody, Errors.unauthorizedAccount(admin));
        assertReverts(bob, address(identity), toNobody, Errors.invalidOwner(address(0)));
        vm.prank(bob);
        identity.renounceOwnership();
        assertEq(identity.owner(), address(0), "owner");
    }

    /// @dev The devnet's way to the official addresses: a plain proxy's code and one slot, set from outside.
    function test_a_placed_proxy_works_and_can_be_upgraded() public {
        address at = 0x8004BAa17C55a88189AE136b182e5fdA19dE9b63;
        _place(at, vm.deployCode("UUPSPlaceholder.sol:UUPSPlaceholder"));
        assertSucceeds(bob, at, abi.encodeWithSignature("initialize(address)", admin));
        _upgrade(IProxied(at), REPUTATION, abi.encodeWithSignature("initialize(address)", address(identity)));

        _register(alice);
        vm.prank(bob);
        IReputation(at).giveFeedback(0, 1, 0, "", "", "", "", 0);
        assertEq(IReputation(at).getLastIndex(0, bob), 1, "feedback");
        _upgrade(IProxied(at), REPUTATION, "");
        assertEq(IReputation(at).getLastIndex(0, bob), 1, "feedback after an upgrade");
    }

    /// @dev The shorter way: the registry's own code at once, with the owner's slot set from outside too.
    function test_a_placed_proxy_works_without_the_placeholder() public {
        address at = 0x8004A169FB4a3325136EB29fA0ceB6D2e539a432;
        bytes32 ownerSlot = 0x9016d09d72d40fdae2fd8ceac6b6234c7706214fd39c1cd1e609a0528c199300;
        _place(at, vm.deployCode(IDENTITY));
        assertReverts(admin, at, _initialize, Errors.unauthorizedAccount(admin));
        vm.store(at, ownerSlot, bytes32(uint256(uint160(admin))));
        watchLogs();
        assertSucceeds(admin, at, _initialize);

        assertLogged(at, Expected.list(Expected.initialized(2)));
        vm.prank(alice);
        assertEq(IIdentity(at).register(), 0, "first id");
    }

    /// @dev A proxy on the given registry that nobody has initialised yet as version 2.
    function _fresh(string memory artifact) private returns (address proxy) {
        proxy = _proxy(vm.deployCode("UUPSPlaceholder.sol:UUPSPlaceholder"));
        _upgrade(IProxied(proxy), artifact, "");
    }

    function _place(address at, address implementation) private {
        vm.etch(at, address(identity).code);
        vm.store(at, IMPLEMENTATION_SLOT, bytes32(uint256(uint160(implementation))));
    }
}
