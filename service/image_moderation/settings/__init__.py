"""Every MODERATION_* variable: read once, checked, frozen.

`values` parses and prints single values, `environment` finds them in an environment, `fields` has the kinds
of fields, `model` the field of each variable, and `effective` shows them all. A new variable is one more
field in `model.Settings`.
"""

from image_moderation.settings.environment import SettingsError
from image_moderation.settings.model import LogFormat, LogLevel, Settings
from image_moderation.settings.values import milliseconds

__all__ = ["LogFormat", "LogLevel", "Settings", "SettingsError", "milliseconds"]
