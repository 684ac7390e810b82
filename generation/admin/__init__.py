"""The operator's view of the videos, one module per subject; Django finds them by importing this package."""

from generation.admin import batches, catalogue, clips, jobs, notices, people, rights

__all__ = ["batches", "catalogue", "clips", "jobs", "notices", "people", "rights"]
