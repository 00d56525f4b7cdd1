"""The commands, one file a group. They parse, call a verb as the operator, and print; no rule lives here."""
