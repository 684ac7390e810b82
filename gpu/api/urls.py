from django.urls import path

from gpu.api import instances
from gpu.api.views import GpuConfigView, TestConnectionView

urlpatterns = [
    path("gpu/config", GpuConfigView.as_view(), name="gpu_config"),
    path("gpu/test-connection", TestConnectionView.as_view(), name="gpu_test_connection"),
    path("gpu/instances", instances.Instances.as_view(), name="api-gpu-instances"),
    path("gpu/instances/<uuid:pk>", instances.InstanceDetail.as_view(), name="api-gpu-instance"),
    path("gpu/instances/<uuid:pk>/extend", instances.ExtendInstance.as_view(), name="api-gpu-instance-extend"),
    path("gpu/instances/<uuid:pk>/drain", instances.DrainInstance.as_view(), name="api-gpu-instance-drain"),
    path("gpu/offers", instances.Offers.as_view(), name="api-gpu-offers"),
]
