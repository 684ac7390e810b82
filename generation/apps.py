from django.apps import AppConfig


class GenerationConfig(AppConfig):
    name = "generation"
    verbose_name = "Videos"

    def ready(self) -> None:
        from generation import checks, live_words, tasks  # noqa: F401 (whoever shows a sentence has to know all of them)

        checks.register()
