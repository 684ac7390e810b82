"""The operator's view of the fleet, one module per subject; Django finds them by importing this package."""

from gpu.admin import config, files, machines, money, watching

__all__ = ["config", "files", "machines", "money", "watching"]
