"""The arguments that several commands take, alike in each."""

from typing import Annotated

import typer

Json = Annotated[
    bool, typer.Option("--json", help="Print JSON, for programs: one object, of a list one object a line.")
]
Image = Annotated[str, typer.Argument(metavar="IMAGE", help="The image's id.")]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Only decisions since then: 2026-11-23T10:00:00Z, or a duration such as 2h.",
    ),
]
Yes = Annotated[
    bool, typer.Option("--yes", help="Don't ask. Where there is no terminal to ask on, it is required.")
]
