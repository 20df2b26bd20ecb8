"""Recorded reports and verdicts, replayed through the pure policy under several settings side by side.

`recording` makes events of recorded messages, `replay` applies them to the `run` of each setting, `measures`
counts what came of it, `differences` keeps the images on which settings differ, `summary` says all that in
words and numbers, and `plot` draws it. Reads no file and asks no server: the command in `cli/` hands in lines
and messages.
"""
