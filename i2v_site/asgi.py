"""The live process: event streams only, under uvicorn."""

import os

import django
from django.conf import settings
from django.utils.module_loading import import_string

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "i2v_site.settings")
django.setup()

# Named in the settings, because this package imports no app.
application = import_string(settings.LIVE_APPLICATION)()
