"""`python -m service` is `image-moderation`."""

from image_moderation.cli import main

main()
