"""Decisions taken and not yet confirmed by the broker: publish, settle, sweep."""
