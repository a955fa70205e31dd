"""The local paper exchange: a market, a matching engine, Alpaca's wire."""
