"""Rights in a real browser: a file is checked and reported by somebody without an account, and an account is left."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from generation.models import Erasure, Report
from tests.browser.conftest import sign_in
from tests.generation.test_fingerprints import scene

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


def test_somebody_without_an_account_checks_a_file_and_reports_it(tab: Page, tmp_path: Path) -> None:
    tab.goto("/check")
    tab.get_by_label("The file").set_input_files(str(scene(tmp_path / "v.mp4")))
    tab.get_by_role("button", name="Check it").click()
    expect(tab.get_by_role("heading", name="We know nothing about this file")).to_be_visible()

    tab.get_by_role("link", name="Report this file").click()
    tab.get_by_label("It uses my picture or work").check()
    tab.get_by_role("button", name="Send the report").click()
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    assert Report.objects.get().kind == "copyright"


def test_a_person_takes_everything_along_and_leaves(tab: Page, ada: User) -> None:
    sign_in(tab)
    tab.goto("/settings/data")
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download everything").click()
    assert download.value.suggested_filename.startswith("my-data-")

    tab.get_by_label("Your password").fill("correct horse")
    tab.get_by_label("Type your user name, ada, to confirm").fill("ada")
    tab.get_by_role("button", name="Erase my account").click()
    expect(tab.get_by_role("heading", name="Your account is closed")).to_be_visible()
    assert Erasure.objects.get().person == ada
