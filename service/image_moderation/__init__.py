"""image-moderation: blocks an image automatically once several people have reported it."""

__version__ = "0.1.0"
