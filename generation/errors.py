"""The refusals that a caller of this app can act on."""

from i2v_site.errors import DomainError


class BadSetting(DomainError):
    """A value that the chosen model does not take; `field` names it."""

    code = "invalid"


class NotOffered(DomainError):
    """What was asked for is not offered now."""

    code = "not_offered"
    status = 409


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


class NotWaiting(DomainError):
    """Only a video that waits has a place in its person's queue."""

    code = "not_waiting"
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


class PromptBlocked(DomainError):
    """What the prompt asks for is not made here."""

    code = "prompt_blocked"
    status = 422


class OutputBlocked(DomainError):
    """The finished video may not be kept."""

    code = "output_blocked"
    status = 422


class FileRefused(DomainError):
    """A file that is not looked at; `code` and message say why."""

    code = "file_refused"

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message, field="file")
        self.code = code


class ReportRefused(DomainError):
    """A report that names nothing we know, or comes too often."""

    code = "report_refused"


class AlreadyDecided(DomainError):
    """Somebody else has decided about the report."""

    code = "already_decided"
    status = 409


class NoteMissing(DomainError):
    """A decision without its reason."""

    code = "note_missing"


class WrongConfirmation(DomainError):
    """The password or the typed words are not right."""

    code = "wrong_confirmation"
    status = 403


class LastOfStaff(DomainError):
    """Somebody must be left who can run the site."""

    code = "last_of_staff"
    status = 409


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


class TagRefused(DomainError):
    """No name for a tag."""

    code = "invalid"


class TagExists(DomainError):
    code = "tag_exists"
    status = 409


class TooManyTags(DomainError):
    code = "too_many_tags"
    status = 409


class NothingToPack(DomainError):
    """None of the chosen videos is finished."""

    code = "nothing_to_pack"
    status = 409


class TooMuchToPack(DomainError):
    code = "too_much_to_pack"


class NothingSelected(DomainError):
    code = "nothing_selected"


class TooManySelected(DomainError):
    code = "too_many_selected"


class TooLateToRestore(DomainError):
    """The files of a deleted video are being deleted."""

    code = "too_late"
    status = 409


class NoVideo(DomainError):
    """Only a finished video that may be seen has frames, and can be cut or joined."""

    code = "no_video"
    status = 409


class FrameRefused(DomainError):
    """There is no such frame, or it cannot be taken."""

    code = "invalid"


class ClipRefused(DomainError):
    """What was asked for cannot be made of these videos."""

    code = "invalid"


class TooManyClips(DomainError):
    code = "too_many_clips"
    status = 409


class LinkRefused(DomainError):
    """A link that cannot be made."""

    code = "link_refused"
    status = 409


class LinkGone(DomainError):
    """No link to a video that works; why is not told."""

    code = "not_found"
    status = 404


class SignInFirst(DomainError):
    """A link for people who are signed in."""

    code = "sign_in_first"
    status = 401
