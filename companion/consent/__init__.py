"""Who may see what, for which purpose, until when: the one gate, and the list of what was disclosed. Knows no diary."""
