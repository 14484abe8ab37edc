"""Renown: the self-hosted, open index of ERC-8004 agents."""
