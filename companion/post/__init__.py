"""Getting a message out: channels, the guard on where it may go, what came of it. Knows no patient and no plan."""
