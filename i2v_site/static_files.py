"""Static files with their digest in the name, also where one script of ours imports another."""

from django.contrib.staticfiles.storage import HashedFilesMixin
from whitenoise.storage import CompressedManifestStaticFilesStorage


class Storage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise ships no types
    """Without the names in imports a browser would go on with an old module of a new script."""

    # Ours only: what packages bring may import files that they do not ship.
    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        ("generation/*.js", HashedFilesMixin._js_module_import_aggregation_patterns[1]),  # type: ignore[attr-defined]  # noqa: SLF001
    )
