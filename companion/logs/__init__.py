"""The diary: every kind of entry, its history, its order. Knows consent's gate, nothing of nudges, trends or alerts."""
