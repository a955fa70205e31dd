"""Lake and ledger: where what was seen and what was done is kept."""
