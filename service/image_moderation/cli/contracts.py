"""`contracts`: checks or writes the generated files of the contract."""

from pathlib import Path
from typing import Annotated

import typer

from image_moderation.cli.output import Failed, Json, note, plain, say_json


def contracts(
    write: Annotated[bool, typer.Option("--write", help="Write the files instead of checking them.")] = False,
    directory: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="The folder of the files.", file_okay=False)
    ] = Path("contracts"),
    as_json: Json = False,
) -> None:
    """Check that the AsyncAPI document and the schemas are what the code writes.

    Exits 1 with a line for each file that differs.
    """
    # Imports the generators, which no other command needs.
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
