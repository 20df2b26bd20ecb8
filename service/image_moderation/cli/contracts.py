"""`contracts`: whether the contract files still fit the code."""

from pathlib import Path
from typing import Annotated

import typer

from image_moderation.cli.output import Failed, Json, note, plain, say_json


def contracts(
    write: Annotated[bool, typer.Option("--write", help="Write the files anew instead of checking.")] = False,
    directory: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="Where they lie.", file_okay=False)
    ] = Path("contracts"),
    as_json: Json = False,
) -> None:
    """Check that the AsyncAPI document, schemas and examples are what the code would write.

    Exits 1 with a line for each file that differs.
    """
    # It brings the generators, which nothing else needs.
    from image_moderation.contracts.files import drift  # noqa: PLC0415
    from image_moderation.contracts.files import write as write_files  # noqa: PLC0415

    if write:
        write_files(directory)
        if as_json:
            say_json({"written": str(directory)})
        else:
            note(f"written: {plain(directory)}")
        return
    differing = drift(directory)
    if as_json:
        say_json({"differing": differing})
    if differing:
        raise Failed("\n".join(differing))
    if not as_json:
        note(f"{plain(directory)} fits the code")
