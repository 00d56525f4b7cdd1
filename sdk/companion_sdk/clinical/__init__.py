"""Clinical rules that the phone and the server compute alike: pure, knowing no clock, no storage and no network."""
