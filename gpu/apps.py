from django.apps import AppConfig


class GpuAppConfig(AppConfig):
    name = "gpu"
    verbose_name = "GPUs"

    def ready(self) -> None:
        from gpu import tasks  # noqa: F401 (whoever shows a sentence has to know all of them)
