"""`python -m service` is `image-moderation`."""

from service.cli import main

main()
