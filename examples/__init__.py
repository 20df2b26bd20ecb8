"""Programs to read and run that use the service as other programs do."""
