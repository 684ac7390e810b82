"""The real settings in a throw-away data folder."""

import os
import tempfile

os.environ.setdefault("I2V_DATA_DIR", tempfile.mkdtemp(prefix="i2v-tests-"))
os.environ.setdefault("SECRET_KEY", "tests-only-" + "0123456789abcdef" * 4)
os.environ.setdefault("SITE_URL", "http://127.0.0.1:8000")

from i2v_site.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405
ALLOWED_HOSTS = ["*"]

if "sqlite3" in str(DATABASES["default"]["ENGINE"]):  # noqa: F405
    # A file, as in real life: WAL, threads and processes behave differently on an in-memory database.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}  # noqa: F405

# WhiteNoise warns of a folder that is missing; tests serve static files from where they lie.
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # noqa: F405
