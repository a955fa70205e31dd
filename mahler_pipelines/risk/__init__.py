"""What the account may carry: sizing, gates, trading state, exposure."""
