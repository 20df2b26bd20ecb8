"""`contracts`: checks or writes the generated files of the contract."""

from pathlib import Path

from image_moderation.cli.output import Failed, note, plain, say_json
from image_moderation.contracts.files import drift
from image_moderation.contracts.files import write as write_files


def run(directory: Path, *, write: bool, as_json: bool) -> None:
    """Check the files in `directory`, or write them."""
    if write:
        try:
            write_files(directory)
        except OSError as error:
            raise Failed(f"{plain(directory)}: can't be written: {error.strerror}") from None
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
