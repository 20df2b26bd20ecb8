"""Every command: its arguments and its help. What it does is in the module of its name.

That module is imported when the command runs, so that --version, --help and shell completion are quick: this
one imports Typer and the domain's values alone. `dead_letters` has the commands of its group.
"""

import gc
from pathlib import Path
from typing import Annotated

import typer

from image_moderation.cli.options import Image, Json, Since, Yes
from image_moderation.cli.output import WrongCall
from image_moderation.cli.shells import Shell
from image_moderation.domain.report import Verdict


def serve(
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Start a private Valkey or Redis, as broker and store.")
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Where the embedded server keeps its data; by default under the user's state directory.",
        ),
    ] = None,
    broker_port: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="The embedded server listens on 127.0.0.1:N as well, without a password, for clients that "
            "can't use its Unix socket.",
        ),
    ] = None,
) -> None:
    """Run the service until SIGTERM or Ctrl-C.

    It then finishes the batches in hand. Its settings are MODERATION_* variables; MODERATION_BROKER_URL is
    required, except with --embedded.
    """
    gc.disable()  # what the imports make stays: looking for garbage would take a tenth of the start
    from image_moderation.cli.serve import run
    from image_moderation.embedded import EmbeddedError

    gc.freeze()
    gc.enable()
    try:
        run(data_dir, broker_port, embedded=embedded)
    except EmbeddedError as error:
        raise WrongCall(str(error)) from None


def report(
    image: Annotated[str | None, typer.Argument(metavar="IMAGE", help="The image's id.")] = None,
    reporter: Annotated[
        str | None, typer.Option(metavar="ID", help="Who reports; a new one if left out.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="G", help="The reporter's group, such as a device; all reporters of one group count once."
        ),
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="R", help="Why: one word, such as `nudity`.")] = None,
    retract: Annotated[
        bool, typer.Option("--retract", help="Retract the earlier report of --reporter.")
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="F",
            help="Publish JSON lines instead, `-` for standard input: each is a whole event, or an object "
            "with image_id, reporter_id, reason, reporter_group. Lines that can't be used are listed.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Publish a report of IMAGE and print the event's id."""
    if file is not None:
        if image is not None or reporter or group or reason or retract:
            raise WrongCall("report: --file stands alone; its lines name images and reporters")
        from image_moderation.cli.report_file import report_file

        report_file(file, as_json=as_json)
        return
    if image is None:
        raise WrongCall("report: name an IMAGE, or a --file of reports")
    if retract and reporter is None:
        raise WrongCall("report: --retract needs --reporter, whose report it retracts")
    if retract and (reason is not None or group is not None):
        raise WrongCall("report: a retraction has neither --reason nor --group")
    from image_moderation.cli.report import run

    run(image, reporter, reason, group, retract=retract, as_json=as_json)


def review(
    image: Image,
    verdict: Annotated[
        Verdict,
        typer.Option(
            help="`upheld` blocks the image; `cleared` unblocks it, and no report counts for a while."
        ),
    ],
    moderator: Annotated[
        str | None, typer.Option(metavar="ID", help="Who decided; it is checked and not stored.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Publish a moderator's verdict and print the event's id."""
    from image_moderation.cli.review import run

    run(image, verdict, moderator, as_json=as_json)


def watch(
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Begin with the oldest decision that the broker still has.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print each event unchanged, one a line.")] = False,
) -> None:
    """Show decisions as they are published, until Ctrl-C.

    No consumer loses one by it.
    """
    from image_moderation.cli.watch import run

    run(from_start=from_start, as_json=as_json)


def inspect(image: Image, as_json: Json = False) -> None:
    """Explain why IMAGE is or isn't blocked.

    Lists its reporters by their digests. Uses the threshold and the window of this environment, so set the
    variables as the service has them.
    """
    from image_moderation.cli.inspect import run

    run(image, as_json=as_json)


def blocked(
    since: Since = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Only the N images that were decided last.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the images that are blocked, oldest decision first.

    With --json and without --limit they come in no order, because each is printed once it is found.

    With --json each has the facts that the block relied on; `inspect` says them in words.
    """
    from image_moderation.cli.blocked import run

    run(since, limit, as_json=as_json)


def republish(
    images: Annotated[list[str] | None, typer.Argument(metavar="IMAGE", help="Images, by their ids.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All images about which something was decided.")
    ] = False,
    since: Since = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be published.")] = False,
    as_json: Json = False,
) -> None:
    """Publish the state of images again, blocked or not.

    It is for consumers that lost events: name images, or take --all or --since. The events have the data of
    the latest decision (revision, decided_at, counts, policy), so consumers that know it ignore them. Their
    ids are new, because brokers drop an id that they know.
    """
    if images and everything:
        raise WrongCall("republish: name images or take --all, not both")
    if not (images or everything or since is not None):
        raise WrongCall("republish: name images, or take --all, or --since TIME")
    from image_moderation.cli.republish import run

    run(images or [], since, dry_run=dry_run, as_json=as_json)


def forget(image: Image, yes: Yes = False, as_json: Json = False) -> None:
    """Remove everything that is known about IMAGE.

    That is its reporters, its state and its verdict. It unblocks nothing: no event is published, and new
    reports count from zero. A decision that is not published yet will still be published.
    """
    from image_moderation.cli.forget import run

    run(image, yes=yes, as_json=as_json)


def backtest(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE", help="Recorded events as JSON lines, plain or gzip; `-` is standard input."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="Settings to try: a file of MODERATION_* variables; NAME alone is this environment's. "
            "Repeat it to compare several. By default this environment's.",
        ),
    ] = None,
    from_broker: Annotated[
        bool,
        typer.Option("--from-broker", help="Replay what the configured broker still holds; it stays there."),
    ] = False,
    differences: Annotated[
        int, typer.Option(metavar="N", min=0, help="List N images on which the settings differ, and why.")
    ] = 0,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="OUT.png", help="Draw blocks and reviews over time, and the time to block."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Replay recorded reports under other settings.

    It says how many images each would have blocked, how soon, and what moderators would have had to do. It
    changes nothing: no store is read, and nothing is published.
    """
    if files and from_broker:
        raise WrongCall("backtest: name files or take --from-broker, not both")
    if not files and not from_broker:
        raise WrongCall(
            "backtest: name a FILE of recorded events, `-` for standard input, or take --from-broker"
        )
    from image_moderation.cli.backtest import run

    run(
        files or [],
        settings or [],
        from_broker=from_broker,
        differences=differences,
        plot=plot,
        as_json=as_json,
    )


def config(as_json: Json = False) -> None:
    """Print the effective settings, and where each comes from.

    Secrets are masked. A variable without a value is unset.
    """
    from image_moderation.cli.config import run

    run(as_json=as_json)


def completion(shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]) -> None:
    """Print the script that completes this command in a shell."""
    from image_moderation.cli.shells import run

    run(shell)


def contracts(
    write: Annotated[bool, typer.Option("--write", help="Write the files instead of checking them.")] = False,
    directory: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="The folder of the files.", file_okay=False)
    ] = Path("contracts"),
    as_json: Json = False,
) -> None:
    """Check that the AsyncAPI document and the schemas are what the code writes.

    Exits 1 with a line for each file that differs. It is for those who change this service.
    """
    from image_moderation.cli.contracts import run

    run(directory, write=write, as_json=as_json)
