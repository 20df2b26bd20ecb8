"""The wire: CloudEvents JSON to values of the domain and back. The only parser.

- `models`: what each event looks like, as types that pydantic checks and turns into JSON Schemas.
- `parse`: a broker's message to a `Report` or a `Verdict`, or `Malformed` with the reason.
- `render`: a decision, a dead letter, a report or a verdict to JSON.
"""
