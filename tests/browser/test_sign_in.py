"""Second factors in a real browser: an authenticator app, recovery codes, and a passkey."""

import pytest
from allauth.mfa.totp.internal.auth import hotp_value, yield_hotp_counters_from_time
from django.contrib.auth.models import User
from django.core.cache import cache
from playwright.sync_api import BrowserContext, CDPSession, Page, expect

from tests.browser.conftest import sign_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


@pytest.fixture
def key(context: BrowserContext, tab: Page) -> CDPSession:
    """A security key with user verification, plugged into the tab."""
    wire = context.new_cdp_session(tab)
    wire.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    wire.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return wire


def confirm_password(tab: Page) -> None:
    tab.get_by_label("Password").fill("correct horse")
    tab.get_by_role("button", name="Confirm").click()


def sign_out(tab: Page) -> None:
    tab.locator("summary", has_text="Account: ada").click()
    tab.get_by_role("button", name="Sign out").click()
    expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()


def code(secret: str) -> str:
    return f"{hotp_value(secret, next(iter(yield_hotp_counters_from_time()))):06d}"


def test_a_wrong_password_is_said_on_the_page(ada: User, tab: Page) -> None:
    tab.goto("/account/login/")
    tab.get_by_label("Login").fill("ada")
    tab.get_by_label("Password").fill("wrong")
    tab.get_by_role("button", name="Sign in", exact=True).click()
    expect(tab.get_by_role("alert")).to_contain_text("not correct")


def test_an_authenticator_app_is_set_up_and_asked_for(ada: User, tab: Page) -> None:
    sign_in(tab)
    tab.goto("/account/2fa/totp/activate/")
    confirm_password(tab)
    expect(tab.locator("img.qr")).to_be_visible()
    secret = tab.get_by_label("Authenticator secret").input_value()
    tab.get_by_label("Authenticator code").fill(code(secret))
    tab.get_by_role("button", name="Activate").click()
    expect(tab.get_by_text("10 recovery codes available")).to_be_visible()
    sign_out(tab)
    cache.clear()  # a code is good once; the next one would be half a minute away
    tab.get_by_label("Login").fill("ada")
    tab.get_by_label("Password").fill("correct horse")
    tab.get_by_role("button", name="Sign in", exact=True).click()
    tab.get_by_label("Code").fill(code(secret))
    tab.get_by_role("button", name="Sign In", exact=True).click()
    expect(tab.get_by_role("heading", name="Create a video")).to_be_visible()


def test_a_passkey_is_added_and_signs_in_alone(ada: User, tab: Page, key: CDPSession) -> None:
    sign_in(tab)
    tab.goto("/account/2fa/webauthn/add/")
    confirm_password(tab)
    tab.get_by_label("Passwordless").check()
    tab.get_by_role("button", name="Add").click()
    expect(tab.get_by_text("10 recovery codes available")).to_be_visible()
    sign_out(tab)
    tab.get_by_role("button", name="Sign in with a passkey").click()
    expect(tab.get_by_role("heading", name="Create a video")).to_be_visible()
