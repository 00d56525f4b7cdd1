"""One file a channel: it makes of a neutral message what its provider takes, and of the answer an outcome."""
