"""The wire: CloudEvents JSON to values of the domain and back. The only parser.

- `models`: the types of event as TypedDicts, which pydantic checks and turns into JSON Schemas; `fields`:
  their fields.
- `parse`: a broker's message to a report or a review, or `Malformed` with the reason. `binary` reads binary
  mode, `frames` recognises FastStream's own frame around a body.
- `render`: a decision, a dead letter, a report or a review to JSON. `state` renders an image's state again.
- `dead_letters`: a dead letter's event back to its fields.
- `trace`: the trace context that an event carries.
"""
