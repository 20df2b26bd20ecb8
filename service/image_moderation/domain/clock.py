"""Units of time: inside the service every time and duration is an integer of milliseconds."""

HOUR = 3_600_000
DAY = 24 * HOUR

MOST_CLOCK_SKEW = 300_000
"""How far a replica's clock may be off from the store's; with a greater skew it does not work."""
