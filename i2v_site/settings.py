"""One settings file; every value that differs between machines comes from the environment (README, "Settings")."""

import os
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from i2v_site import env

VERSION = "0.1.0"
BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("I2V_DATA_DIR", str(BASE_DIR / ".data"))).resolve()

DEBUG = env.flag("DEBUG")
# Production means: TLS in front, secure cookies, and a second factor for staff.
PRODUCTION = env.flag("PRODUCTION")
SECRET_KEY = env.secret_key(DATA_DIR)
# Old keys still open what they signed until they are removed here.
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")

SITE_URL = env.url("SITE_URL", "http://127.0.0.1:8000")
_site = urlsplit(SITE_URL)
if PRODUCTION and _site.scheme != "https":
    raise ImproperlyConfigured("SITE_URL must start with https:// when PRODUCTION=1.")
LIVE_URL = env.url("LIVE_URL", f"{_site.scheme}://{_site.hostname}:{(_site.port or 8000) + 1}")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", [_site.hostname or "127.0.0.1", "localhost", "127.0.0.1"])
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", [SITE_URL])
# How many proxies stand in front: decides which X-Forwarded-For entry names the caller.
NUM_PROXIES = env.number("NUM_PROXIES", 1 if PRODUCTION else 0, most=10)

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "axes",
    "csp",
    "django_htmx",
    "django_q",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "knox",
    "gpu",
    "generation",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "i2v_site.compress.TextGZipMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "i2v_site.access.SecondFactorMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "i2v_site.urls"
WSGI_APPLICATION = "i2v_site.wsgi.application"
LIVE_APPLICATION = "generation.live.create_application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "generation.pages.context.site",
            ]
        },
    }
]

DATABASES = {"default": env.database("DATABASE_URL", DATA_DIR)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = env.url("REDIS_URL", schemes=("redis", "rediss"))
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}

# --- queue (reference: django-q2 1.11.1). retry > timeout * (1 + ceil((queue_limit + 1) / workers)) + 10 -----------
Q_CLUSTER = {
    "name": "i2v",
    "label": "Queue",
    "workers": env.number("QUEUE_WORKERS", 2, least=1, most=64),
    "queue_limit": 2,
    "bulk": 1,
    "poll": 0.2,
    "timeout": 600,
    "retry": 1900,
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": -1,
    "catch_up": False,
    "recycle": 500,
    "max_rss": 400_000,
    "guard_cycle": 0.5,
    "ALT_CLUSTERS": {},
    **({"redis": REDIS_URL} if REDIS_URL else {"orm": "default"}),
}

# --- files ------------------------------------------------------------------------------------------------------
S3_BUCKET = env.text("S3_BUCKET")
if S3_BUCKET:
    from i2v_site import s3

    _files: dict[str, object] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "endpoint_url": env.url("S3_ENDPOINT_URL") or None,
            "access_key": env.text("S3_ACCESS_KEY_ID"),
            "secret_key": env.text("S3_SECRET_ACCESS_KEY"),
            "region_name": env.text("S3_REGION", "auto"),
            "client_config": s3.client_config(env.text("S3_ADDRESSING_STYLE", "path")),
            "transfer_config": s3.transfer_config(),
            # What is read back goes through a temporary file, not through memory.
            "max_memory_size": 1024 * 1024,
            "default_acl": None,
            "file_overwrite": True,
            "querystring_auth": True,
            "querystring_expire": 300,
        },
    }
else:
    _files = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": DATA_DIR / "files"}}
STORAGES = {
    "default": _files,
    "staticfiles": {"BACKEND": "i2v_site.static_files.Storage"},
}
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
FILE_LINK_SECONDS = 300
# Where results and pictures rest on their way; must be on a disk, not in memory.
SPOOL_DIR = DATA_DIR / "spool"
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# --- accounts -----------------------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "account_login"
SIGNUP_OPEN = env.flag("SIGNUP_OPEN")
STAFF_SECOND_FACTOR = env.flag("STAFF_SECOND_FACTOR", PRODUCTION)
ACCOUNT_ADAPTER = "i2v_site.access.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email", "username"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = env.text("EMAIL_VERIFICATION", "optional")
if ACCOUNT_EMAIL_VERIFICATION not in ("none", "optional", "mandatory"):
    raise ImproperlyConfigured("EMAIL_VERIFICATION must be none, optional or mandatory.")
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_DEFAULT_HTTP_PROTOCOL = _site.scheme
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = 900
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PRODUCTION
MFA_TOTP_ISSUER = "Image to Video"
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_HANDLER = "axes.handlers.database.AxesDatabaseHandler"
AXES_SENSITIVE_PARAMETERS = ["login", "password"]
AXES_USERNAME_CALLABLE = "i2v_site.access.attempted_name"
AXES_CLIENT_IP_CALLABLE = "i2v_site.access.client_ip"
AXES_LOCKOUT_CALLABLE = "i2v_site.access.locked_out"
ALLAUTH_TRUSTED_PROXY_COUNT = NUM_PROXIES

# --- API ------------------------------------------------------------------------------------------------------------
KNOX_TOKEN_MODEL = "generation.ApiToken"  # noqa: S105 (a model's name)
REST_KNOX = {"TOKEN_TTL": None, "TOKEN_MODEL": KNOX_TOKEN_MODEL, "TOKEN_PREFIX": "i2v_", "AUTH_HEADER_PREFIX": "Token"}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "i2v_site.api.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["i2v_site.api.JSONParser"],
    "EXCEPTION_HANDLER": "i2v_site.api.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["i2v_site.api.WriteThrottle"],
    "DEFAULT_THROTTLE_RATES": {
        "submit": env.text("THROTTLE_SUBMIT", "120/min"),
        "upload": env.text("THROTTLE_UPLOAD", "120/min"),
        "probe": env.text("THROTTLE_PROBE", "20/min"),
        # Without an account, by address.
        "check": env.text("THROTTLE_CHECK", "20/min"),
        "report": env.text("THROTTLE_REPORT", "10/hour"),
    },
    "NUM_PROXIES": NUM_PROXIES,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "ENUM_NAME_OVERRIDES": {
        "ClipKind": "generation.models.Clip.Kind",
        "ClipState": "generation.models.Clip.State",
        "InstanceKind": "gpu.models.InstanceKind",
        "InstanceState": "gpu.models.InstanceState",
    },
    "TITLE": "Image to Video",
    "VERSION": VERSION,
    "DESCRIPTION": "Give a picture and a sentence, get a video. Errors are "
    '`{"error": {"code", "message", "field"?}}`; times are ISO 8601 in UTC.',
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "i2v_site.openapi.refuse_unknown_fields",
        "i2v_site.openapi.document_errors",
    ],
}

# --- what people may send -----------------------------------------------------------------------------------------
PICTURE_MAX_BYTES = env.number("PICTURE_MAX_MB", 20, least=1, most=100) * 1024 * 1024
# What one picture may use while it is decoded, in a process of its own: 40 megapixels need about 700 MB.
PICTURE_DECODE_MB = env.number("PICTURE_DECODE_MB", 1024, least=128, most=8192)
PICTURE_DECODE_SECONDS = env.number("PICTURE_DECODE_SECONDS", 10, least=1, most=300)
# Picture servers inside the operator's network, as exact host:port, and the authority (PEM) that signed their
# certificates. All others must be public and are checked against the public authorities; https always.
IMAGE_URL_PRIVATE_HOSTS = env.words("IMAGE_URL_PRIVATE_HOSTS")
IMAGE_URL_CA = env.text("IMAGE_URL_CA")
# A picture as a data URL is a third larger than its bytes; the rest of a body is small.
DATA_UPLOAD_MAX_MEMORY_SIZE = PICTURE_MAX_BYTES * 4 // 3 + 256 * 1024
# Of a file that anybody hands in to have it checked.
CHECK_MAX_BYTES = env.number("CHECK_MAX_MB", 100, least=1, most=512) * 1024 * 1024
PROMPT_MAX_CHARS = 2000
MAX_OPEN_JOBS = env.number("MAX_OPEN_JOBS", 100, least=1)
IDEMPOTENCY_HOURS = 24
UPLOAD_ORPHAN_HOURS = 24

# --- rendering ------------------------------------------------------------------------------------------------------
DISPATCH_MAX_RENDERS = env.number("DISPATCH_MAX_RENDERS", 256, least=1, most=10_000)
PREVIEW_PROCESSES = env.number("PREVIEW_PROCESSES", max(1, (os.cpu_count() or 1) // 2), least=1, most=64)
# SwarmUI holds one job behind the running one, so a GPU never waits for us.
SWARMUI_SEATS = env.number("SWARMUI_SEATS", 2, least=1, most=10_000)
# A render that cannot be found is given up only after a second look so much later.
SWARMUI_ABSENT_SECONDS = env.number("SWARMUI_ABSENT_SECONDS", 60, least=1, most=3600)
# "Bearer xyz" or "Basic user:password" for a proxy in front of SwarmUI. Never stored in a row.
SWARMUI_AUTHORIZATION = env.text("SWARMUI_AUTHORIZATION")
# Exact host:port of private or plain-http SwarmUI servers that may be called.
SWARMUI_PRIVATE_HOSTS = env.words("SWARMUI_PRIVATE_HOSTS")
# --demo starts a simulator and says so on every page.
DEMO = env.flag("I2V_DEMO")
MAX_ATTEMPTS = env.number("MAX_ATTEMPTS", 3, least=1, most=10)
LEASE_SECONDS = env.number("LEASE_SECONDS", 20, least=2, most=600)
SWEEP_SECONDS = env.number("SWEEP_SECONDS", 30, least=1, most=3600)
START_DEADLINE_SECONDS = env.number("START_DEADLINE_SECONDS", 1800, least=1)
SILENCE_DEADLINE_SECONDS = env.number("SILENCE_DEADLINE_SECONDS", 600, least=1)
TOTAL_DEADLINE_SECONDS = env.number("TOTAL_DEADLINE_SECONDS", 7200, least=1)
QUEUE_DEADLINE_HOURS = env.number("QUEUE_DEADLINE_HOURS", 72, least=1)
RESULT_MAX_BYTES = env.number("RESULT_MAX_MB", 512, least=1) * 1024 * 1024
# Every stored video is signed with what made it (C2PA). Without a key of the operator's, one is made in DATA_DIR;
# several hosts need PROVENANCE_KEY_FILE and PROVENANCE_CERT_FILE (PEM; the certificate chain, the signer's own first).
PROVENANCE = env.flag("PROVENANCE", True)
PROVENANCE_KEY = env.text("PROVENANCE_KEY")
PROVENANCE_CERT = env.text("PROVENANCE_CERT")
# Words drawn into videos that say what made them: never, as each person wants it, or into every video.
VISIBLE_LABEL = env.text("VISIBLE_LABEL", "optional")
if VISIBLE_LABEL not in ("off", "optional", "always"):
    raise ImproperlyConfigured("VISIBLE_LABEL must be off, optional or always.")
if bool(PROVENANCE_KEY) != bool(PROVENANCE_CERT):
    raise ImproperlyConfigured("PROVENANCE_KEY_FILE and PROVENANCE_CERT_FILE are needed together, or neither.")

# Callables that judge prompts, pictures and videos (generation.services.verdicts). One that fails, or answers nothing
# within CONTENT_CHECK_SECONDS, blocks.
CONTENT_CHECKS = env.words("CONTENT_CHECKS", ["generation.services.content_rules.word_rule"])
CONTENT_CHECK_SECONDS = env.number("CONTENT_CHECK_SECONDS", 10, least=1, most=120)
# More words for the default check: the content of CONTENT_WORDS_FILE, like generation/services/content_words.json.
CONTENT_WORDS = env.text("CONTENT_WORDS")

# --- the cloud --------------------------------------------------------------------------------------------------------
# Without a key no video is sent to fal.ai and nothing is paid there.
FAL_KEY = env.text("FAL_KEY")
FAL_QUEUE_URL = env.url("FAL_QUEUE_URL", "https://queue.fal.run")
FAL_REST_URL = env.url("FAL_REST_URL", "https://rest.fal.ai")
FAL_API_URL = env.url("FAL_API_URL", "https://api.fal.ai")
# Exact host:port of a stand-in for fal.ai inside the operator's network (the simulator); all others must be fal's.
FAL_PRIVATE_HOSTS = env.words("FAL_PRIVATE_HOSTS")
# Videos that may be at fal.ai at once; the account's own limit holds besides (2 for a new one, fal queues the rest).
FAL_CONCURRENCY = env.number("FAL_CONCURRENCY", 10, least=1, most=1000)
# How the picture gets there: "upload" to fal's storage, or a "link" to ours that is good for a few hours (needs S3).
FAL_PICTURES = env.text("FAL_PICTURES", "upload")
if FAL_PICTURES not in ("upload", "link"):
    raise ImproperlyConfigured("FAL_PICTURES must be upload or link.")
# Whether fal.ai can reach us to say that a video is done; polling works without.
FAL_WEBHOOKS = env.flag("FAL_WEBHOOKS", _site.scheme == "https")
# A paid call whose answer was lost is settled by evidence; after so long without any, the job fails at our expense.
FAL_OUTCOME_MINUTES = env.number("FAL_OUTCOME_MINUTES", 60, least=1, most=1440)

# --- telling people ---------------------------------------------------------------------------------------------------
# Exact host:port of webhook receivers inside the operator's network; all others must be public and https.
WEBHOOK_PRIVATE_HOSTS = env.words("WEBHOOK_PRIVATE_HOSTS")
# What encrypts people's secrets, the newest first; empty: a key derived from SECRET_KEY.
FIELD_KEYS = env.words("FIELD_KEYS")

# --- rented machines --------------------------------------------------------------------------------------------------
# Without a key nothing is rented and nobody is asked.
VASTAI_API_KEY = env.text("VASTAI_API_KEY")
VASTAI_URL = env.url("VASTAI_URL", "https://console.vast.ai")
# Stands in the label of every machine: two installations on one account leave each other's machines alone.
DEPLOYMENT = env.text("DEPLOYMENT", "main")
if not DEPLOYMENT.replace("-", "").isalnum() or not DEPLOYMENT.isascii() or len(DEPLOYMENT) > 40:
    raise ImproperlyConfigured("DEPLOYMENT must be at most 40 letters, digits and hyphens.")
RECONCILE_SECONDS = env.number("RECONCILE_SECONDS", 60, least=1, most=3600)
BOOT_DEADLINE_SECONDS = env.number("BOOT_DEADLINE_SECONDS", 1200, least=60)
PROVISION_DEADLINE_SECONDS = env.number("PROVISION_DEADLINE_SECONDS", 1800, least=60)
# A machine that hears nothing from us for so long gives itself back.
SILENCE_LEASE_SECONDS = env.number("SILENCE_LEASE_SECONDS", 600, least=120, most=3600)
# Alarms go to the staff by e-mail and, as JSON, to this address; X-Signature-256 holds the HMAC when there is a secret.
ALARM_WEBHOOK_URL = env.url("ALARM_WEBHOOK_URL")
ALARM_WEBHOOK_SECRET = env.text("ALARM_WEBHOOK_SECRET")
# The exact host:port of a webhook inside the operator's network; all others must be public and https.
ALARM_WEBHOOK_PRIVATE_HOSTS = env.words("ALARM_WEBHOOK_PRIVATE_HOSTS")
HOST_AVOID_MINUTES = env.number("HOST_AVOID_MINUTES", 60)
# Says what work waits: a function without arguments that returns a gpu.services.fleet_values.Demand.
FLEET_DEMAND = env.text("FLEET_DEMAND", "generation.queries.fleet_demand")

# --- browser ----------------------------------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "media-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF, LIVE_URL],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "manifest-src": [SELF],
        "worker-src": [SELF],
    }
}
if S3_BUCKET and (_endpoint := env.url("S3_ENDPOINT_URL")):
    for _kind in ("img-src", "media-src"):
        CONTENT_SECURITY_POLICY["DIRECTIVES"][_kind].append(_endpoint)
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
if PRODUCTION:
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^health$", r"^ready$"]
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# --- the rest ---------------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LANGUAGE_COOKIE_AGE = 31_536_000
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SECURE = PRODUCTION
LOCALE_PATHS = [BASE_DIR / "i2v_site" / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", f"noreply@{_site.hostname}")
globals().update(env.email("EMAIL_URL"))

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "i2v_site.redact.RedactFilter"}},
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["redact"]}},
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "INFO")},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "httpcore": {"level": "WARNING"},
        "websockets": {"level": "WARNING"},
        "botocore": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
        # Three lines for every task, heartbeats included.
        "django-q": {"level": "WARNING"},
        # A refused request is an answer, not an incident.
        "django.request": {"level": "ERROR"},
    },
}
