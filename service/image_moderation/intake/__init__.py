"""Takes a batch of raw messages from parsing to its ack: parse, park, store, ack, publish."""
