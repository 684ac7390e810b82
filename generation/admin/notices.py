"""The operator's view of what people are told: notices, receivers of webhooks, deliveries with their tries."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from generation.admin.rows import ReadOnly, row_link
from generation.models import Delivery, DeliveryTry, Notice, WebhookEndpoint
from generation.services import webhooks
from i2v_site.errors import DomainError


class DeliveryInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]  # takes no parameter when it runs
    model = Delivery
    extra = 0
    can_delete = False
    readonly_fields = ["channel", "endpoint", "state", "tries", "next_try_at", "delivered_at"]
    fields = tuple(readonly_fields)


@admin.register(Notice)
class NoticeAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # takes no parameter when it runs
    list_display = ["kind", "owner_link", "job_link", "created_at", "seen_at"]
    list_filter = ["kind", "created_at"]
    list_select_related = ["owner", "job"]
    show_full_result_count = False
    search_fields = ["=owner__username", "=key"]
    fields = ["id", "kind", "owner_link", "job_link", "key", "data", "created_at", "seen_at"]
    inlines = [DeliveryInline]

    @admin.display(description="Owner", ordering="owner__username")
    def owner_link(self, notice: Notice) -> str:
        return row_link(notice.owner)

    @admin.display(description="Video")
    def job_link(self, notice: Notice) -> str:
        return row_link(notice.job)


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # takes no parameter when it runs
    """Whose receivers there are. Their secrets are never shown."""

    list_display = ["__str__", "owner_link", "enabled", "failing_since", "trouble", "created_at"]
    list_filter = ["enabled"]
    list_select_related = ["owner"]
    search_fields = ["url", "description", "=owner__username"]
    fields = [
        *("url", "description", "owner_link", "kinds", "enabled", "secret_end", "old_secret_until"),
        *("failing_since", "trouble", "created_at"),
    ]
    actions = ["switch_off"]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("generation.change_webhookendpoint"))

    @admin.display(description="Owner", ordering="owner__username")
    def owner_link(self, endpoint: WebhookEndpoint) -> str:
        return row_link(endpoint.owner)

    @admin.action(description="Switch the selected webhooks off", permissions=["operate"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        for endpoint in queryset.filter(enabled=True):
            webhooks.change_endpoint(endpoint=endpoint, enabled=False, trouble="An operator switched it off.")
            self.log_change(request, endpoint, "switched off")


class TryInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]  # takes no parameter when it runs
    model = DeliveryTry
    extra = 0
    can_delete = False
    readonly_fields = ["at", "status_code", "took_ms", "error"]
    fields = tuple(readonly_fields)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # takes no parameter when it runs
    list_display = ["kind", "channel", "owner_link", "endpoint", "state", "tries", "next_try_at", "created_at"]
    list_filter = ["state", "channel", "notice__kind", "created_at"]
    list_select_related = ["notice__owner", "endpoint"]
    show_full_result_count = False
    search_fields = ["=notice__owner__username", "endpoint__url"]
    fields = ["id", "notice_link", "channel", "endpoint", "state", "tries", "next_try_at", "delivered_at", "created_at"]
    inlines = [TryInline]
    actions = ["send_again"]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("generation.change_delivery"))

    @admin.display(description="Notice", ordering="notice__kind")
    def kind(self, delivery: Delivery) -> str:
        return delivery.notice.kind

    @admin.display(description="Owner", ordering="notice__owner__username")
    def owner_link(self, delivery: Delivery) -> str:
        return row_link(delivery.notice.owner)

    @admin.display(description="Notice")
    def notice_link(self, delivery: Delivery) -> str:
        return row_link(delivery.notice)

    @admin.action(description="Send the selected webhooks again", permissions=["operate"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        again = 0
        for delivery in queryset.filter(channel=Delivery.Channel.WEBHOOK).select_related("endpoint"):
            try:
                webhooks.replay(delivery=delivery)
            except DomainError as exc:
                self.message_user(request, f"{delivery.endpoint}: {exc.message}", messages.WARNING)
            else:
                again += 1
                self.log_change(request, delivery, "sent again")
        self.message_user(request, f"{again} on their way again.", messages.SUCCESS)
