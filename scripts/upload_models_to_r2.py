#!/usr/bin/env python3
"""Puts model files into the bucket: scripts/upload_models_to_r2.py [--dry-run] [--verify] FILE_OR_FOLDER ..."""

import os
import sys

sys.dont_write_bytecode = True

import _bootstrap  # noqa: E402

try:
    python = _bootstrap.environment(".venv", "requirements.lock")
    manage = os.path.join(_bootstrap.ROOT, "manage.py")
    os.execv(python, [python, manage, "upload_models", *sys.argv[1:]])  # noqa: S606
except KeyboardInterrupt:
    sys.exit(130)
