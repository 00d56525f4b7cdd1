"""The ground everything stands on: units of work, seal, chain, clock, ids, errors. Knows no slice and no HTTP."""
