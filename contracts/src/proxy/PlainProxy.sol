// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

// The registries' proxy is OpenZeppelin's, as it is. Imported here so that forge builds it and `export.py`
// finds it. Its runtime code has no immutables, so it can be placed at any address.
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
