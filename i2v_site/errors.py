"""The one kind of error that people and programs see."""


class DomainError(Exception):
    """A refusal the caller can act on: `code` for programs, the message for people, `field` where it belongs."""

    code = "refused"
    status = 400

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
