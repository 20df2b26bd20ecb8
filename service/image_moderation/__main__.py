"""`python -m image_moderation` is `image-moderation`."""

from image_moderation.cli import main

main()
