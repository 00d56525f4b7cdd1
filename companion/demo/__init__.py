"""The demo: made-up people with ninety days each, and a story in which each promise is tried and ticked off."""
