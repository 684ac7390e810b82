"""The refusals that a caller of this app can act on."""

from i2v_site.errors import DomainError


class BadSetting(DomainError):
    """A value that the chosen model does not take; `field` names it."""

    code = "invalid"


class UnknownModel(DomainError):
    code = "unknown_model"


class EngineNotConfigured(DomainError):
    """The chosen model needs a server that nobody has configured."""

    code = "engine_not_configured"
    status = 409


class TooManyOpenJobs(DomainError):
    code = "too_many_open_jobs"
    status = 409


class AlreadyOver(DomainError):
    """The job has ended; there is nothing to cancel."""

    code = "already_over"
    status = 409


class NotOver(DomainError):
    """Only an ended job can be retried."""

    code = "not_over"
    status = 409


class PictureInUse(DomainError):
    """An unfinished job still needs the picture."""

    code = "picture_in_use"
    status = 409


class PictureRefused(DomainError):
    """A picture that we do not take; `code` and message say why, in one sentence."""

    code = "picture_refused"

    def __init__(self, message: str, *, code: str | None = None, field: str | None = "image") -> None:
        super().__init__(message, field=field)
        if code:
            self.code = code


class UnknownPicture(DomainError):
    """No picture with this id that the caller may see."""

    code = "not_found"
    status = 404


class IdempotencyMismatch(DomainError):
    """The key belongs to another request."""

    code = "idempotency_key_reused"
    status = 422


class IdempotencyInProgress(DomainError):
    """The first request with this key has no answer yet."""

    code = "idempotency_in_progress"
    status = 409


class PresetExists(DomainError):
    code = "preset_exists"
    status = 409


class TooManyTokens(DomainError):
    code = "too_many_tokens"
    status = 409


class WebhookAddressRefused(DomainError):
    """An address that may not be called."""

    code = "address_refused"


class TooManyWebhooks(DomainError):
    code = "too_many_webhooks"
    status = 409


class WebhookIsOff(DomainError):
    """Nothing is sent to a webhook that is switched off."""

    code = "webhook_is_off"
    status = 409


class TooLateToRestore(DomainError):
    """The files of a deleted video are being deleted."""

    code = "too_late"
    status = 409
