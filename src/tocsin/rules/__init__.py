"""The decisions, as pure functions of values and the time: what matches, what is planned, what happens next."""
