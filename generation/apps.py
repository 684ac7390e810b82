from django.apps import AppConfig


class GenerationConfig(AppConfig):
    name = "generation"
    verbose_name = "Videos"

    def ready(self) -> None:
        from generation import checks

        checks.register()
