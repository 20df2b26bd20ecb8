"""The real brokers that tests start, each behind the same few calls, and what each can and can't do."""
