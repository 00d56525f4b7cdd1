"""Trends: daily series, the sobriety ledger and what can honestly be said of them."""
