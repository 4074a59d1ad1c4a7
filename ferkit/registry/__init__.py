"""Versions of the registered model: the gate, the ledger of promotions, aliases, rights, webhooks."""
