from django.apps import AppConfig


class GpuAppConfig(AppConfig):
    name = "gpu"
    verbose_name = "GPUs"
