"""Settings of bench_submit: the real site, and beside it the least that a DRF view can do."""

from i2v_site.settings import *  # noqa: F403

ROOT_URLCONF = "scripts._bench_urls"
