"""The fuzzer of the parser: `python -m tests.fuzz.parser --seconds 600 --seed 7`. `make fuzz` runs it.

Coverage-guided (atheris), from the contract's examples, judged by `support.parser_oracle`. The corpus stays
in build/fuzz/, so that the next run goes on from there. What it finds is written to build/fuzz/found/, and
`python -m tests.fuzz.parser FILE` judges that file alone.
"""

import argparse
import random
import secrets
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["image_moderation.events", "image_moderation.domain"]):
    from tests.support.parser_oracle import check

from tests.fuzz.mutation import changed
from tests.fuzz.seeds import seeds

PLACE = Path(__file__).parents[2] / "build" / "fuzz"
LONGEST = 6_000
"""Bytes: more than `parser_oracle.MAX_BYTES`."""
WORDS = (
    *("specversion", "id", "source", "type", "time", "data", "datacontenttype", "traceparent", "subject"),
    *("image_id", "reporter_id", "reason", "reporter_group", "verdict", "moderator_id", "headers"),
    *("upheld", "cleared", "image.reported.v1", "image.report-retracted.v1", "image.reviewed.v1"),
    *("ce_specversion", "ce-specversion", "cloudEvents:specversion", "cloudEvents_specversion"),
    *("content-type", "application/cloudevents+json", "application/json", "NaN", "Infinity", "null", "true"),
    *(
        "2026-11-23T10:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59.9Z",
        "1795428000000",
        "1e999",
    ),
)


def mutate(data: bytes, most: int, seed: int) -> bytes:
    """Change the document of an input, or its bytes, as libFuzzer would."""
    rng = random.Random(seed)
    if rng.random() < 0.6:
        at = data.find(b"\n\n") + 2 if data and data[0] & 4 else 1
        body = changed(data[at:], rng)
        if body is not None:
            flags = bytes([data[0] ^ (rng.choice((1, 2)) if rng.random() < 0.1 else 0)])
            return (flags + data[1:at] + body)[:most]
    mutated: bytes = atheris.Mutate(data, most)
    return mutated


def judge(data: bytes) -> None:
    check(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, help="judge this input alone")
    parser.add_argument("--seconds", type=int, default=600, help="how long it looks (default 600)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31 - 1) + 1)
    given = parser.parse_args()
    if given.file is not None:
        print(check(given.file.read_bytes()))
        return
    corpus, found, begin = PLACE / "corpus", PLACE / "found", PLACE / "seeds"
    for folder in (corpus, found, begin):
        folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds():
        (begin / name).write_bytes(data)
    words = PLACE / "words"
    words.write_text("".join(f'"{word}"\n' for word in WORDS))
    print(f"seed {given.seed}, {given.seconds} s; corpus and findings in {PLACE}", flush=True)
    atheris.Setup(
        [
            sys.argv[0],
            f"-seed={given.seed}",
            f"-max_total_time={given.seconds}",
            f"-max_len={LONGEST}",
            f"-dict={words}",
            f"-artifact_prefix={found}/",
            "-print_final_stats=1",
            "-keep_seed=1",  # the validator is not Python, so most of them look alike to it
            "-timeout=10",
            "-rss_limit_mb=1024",
            str(corpus),
            str(begin),
        ],
        judge,
        custom_mutator=mutate,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
