"""From a batch of raw messages to acked: parse, park, store, publish, ack."""
