"""Questions x generator -> answers in a ledger, within a limit of cost; whatever is asked."""
