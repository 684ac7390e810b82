"""How calls fail."""


class ApplicationError(Exception):
    """SwarmUI understood: HTTP 200 with an `error`, usually without an `error_id`."""

    def __init__(self, text: str, error_id: str = "") -> None:
        super().__init__(text)
        self.text, self.error_id = text, error_id

    def as_json(self) -> dict[str, str]:
        return {"error": self.text} | ({"error_id": self.error_id} if self.error_id else {})


class SilentFailureError(Exception):
    """Not one of SwarmUI's readable exceptions: HTTP 400 `internal_error`, on a socket no word at all."""


class GenerationError(Exception):
    """A generation failed with a text that the caller gets to read."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text
