"""Units of time: inside the service every time and duration is an integer of milliseconds."""

HOUR = 3_600_000
DAY = 24 * HOUR
