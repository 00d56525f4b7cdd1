"""The list of what a patient owns, and the proof that all of it is as it was written. Knows no HTTP."""
