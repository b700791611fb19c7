"""What leaves a server of a cluster: files that a job is given, and an environment that is shared.

The chapters build on each other. Una gives files to jobs and shares what she has installed with her
group; Vic is of that group, Wes is not. Pictures of each step are in `build/screenshots/kubernetes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll.jobs import client
from atoll.jobs.models import Job
from playwright.sync_api import Browser, expect

from tests.browser.lab import chromium
from tests.kubernetes.driver import Platform
from tests.kubernetes.page import SHOTS, Visitor, notebook, visiting
from tests.kubernetes.where import ENVIRONMENTS
from tests.platform.driver import make_wheel

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]

GROUP = "modelers"
GIVEN = ("data/sales.csv", "helpers/")
REPORT = (
    "import os, pathlib\n"
    "print('on', os.uname().nodename)\n"
    "print(sorted(str(one) for one in pathlib.Path('.').rglob('*') if one.is_file()))",
    "from helpers.money import shown\n"
    "rows = pathlib.Path('data/sales.csv').read_text().split()[1:]\n"
    "print('sold for', shown(sum(int(row.split(',')[1]) for row in rows)))",
)
MONEY = b"def shown(amount):\n    return f'{amount:,} EUR'\n"
SALES = b"month,amount\n1,1200\n2,3400\n"
ASK = (
    "import atoll\n"
    f"job = atoll.submit('report.ipynb', files={list(GIVEN)!r}).wait()\n"
    "print(job.id, job.status, job.files)\n"
    "print(job.output().text)"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def una(browser: Browser, platform: Platform) -> Iterator[Visitor]:
    with visiting(browser, platform, "una", SHOTS / "una") as una:
        yield una


@pytest.fixture(scope="module")
def vic(browser: Browser, platform: Platform, una: Visitor) -> Iterator[Visitor]:
    with visiting(browser, platform, "vic", SHOTS / "vic") as vic:
        platform.join(GROUP, una.person.name, "vic")
        yield vic


@pytest.fixture(scope="module")
def wes(browser: Browser, platform: Platform) -> Iterator[Visitor]:
    """Of no group."""
    with visiting(browser, platform, "wes", SHOTS / "wes") as wes:
        yield wes


@pytest.fixture(autouse=True)
def pictured(request: pytest.FixtureRequest) -> Iterator[None]:
    """What was on their screens when a chapter failed."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        for name in {"una", "vic", "wes"} & set(request.fixturenames):
            request.getfixturevalue(name).see(f"failed-{request.node.name}")


def newest_job(una: Visitor) -> Job:
    with una.person.connection() as service:
        return service.send(client.jobs()).items[0]


def test_a_job_sees_the_files_that_the_form_names_and_no_others(
    una: Visitor, platform: Platform, tmp_path: Path
) -> None:
    una.log_in("una", platform.secret("password"))
    una.spawn_page()
    una.choose_and_start("Standard")
    una.wait_for_lab()
    una.person.install(make_wheel(tmp_path, "cockle", "1.0"))
    una.write("quarter/report.ipynb", notebook(*REPORT))
    una.write("quarter/data/sales.csv", SALES)
    una.write("quarter/helpers/money.py", MONEY)
    una.write("quarter/helpers/id_rsa", b"-----BEGIN OPENSSH PRIVATE KEY-----\n")
    una.write("quarter/not-given.txt", b"")
    una.open_notebook("quarter/report.ipynb")
    una.notebook.get_by_role("button", name="Run as job").click()
    form = una.page.get_by_test_id("atoll-run-form")
    form.get_by_label("Files").fill("\n".join(GIVEN))
    una.see("run-form-with-files")
    form.get_by_role("button", name="Run", exact=True).click()
    expect(form).to_have_count(0)
    row = una.show("jobs").locator("li", has_text="report.ipynb").first
    una.see("job-with-files")
    row.get_by_test_id("atoll-job-open-output").click()
    una.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)", has_text="sold for").wait_for()
    job = newest_job(una)
    assert job.files.count == 2
    expect(una.notebook).to_contain_text(f"on {job.id}")  # in its pod
    expect(una.notebook).to_contain_text("['data/sales.csv', 'helpers/money.py']")
    expect(una.notebook).to_contain_text("sold for 4,600 EUR")
    una.see("job-with-files-output")


def test_a_cell_gives_files_and_has_the_output_back(una: Visitor) -> None:
    una.open_notebook("quarter/report.ipynb")
    said = una.add_and_run(ASK)
    job = newest_job(una)
    assert f"{job.id} succeeded ['data/sales.csv', 'helpers/money.py']" in said
    assert f"on {job.id}" in said
    assert "sold for 4,600 EUR" in said
    assert "Left out: quarter/helpers/id_rsa" in said
    una.see("cell-with-files")


def test_an_environment_is_shared_with_a_group_in_the_panel(una: Visitor, vic: Visitor) -> None:
    panel = una.show("environment")
    panel.get_by_label("Note for this checkpoint (optional)").fill("with cockle")
    panel.get_by_test_id("atoll-save").click()
    saved = panel.get_by_role("list", name="Saved environments").get_by_role("listitem").first
    expect(saved).to_contain_text("with cockle")
    saved.get_by_test_id("atoll-checkpoint-menu").click()
    una.page.get_by_role("menuitem", name="Share…").click()
    form = una.page.get_by_role("form", name="Share the environment")
    form.get_by_label("Share with").select_option("group")
    form.get_by_role("textbox", name="Group").fill(GROUP)
    una.see("share-form")
    form.get_by_role("button", name="Share").click()
    expect(form.get_by_role("list", name="Shared with")).to_contain_text(GROUP)
    una.see("shared-with-a-group")
    form.get_by_role("button", name="Done").click()
    expect(saved).to_contain_text("shared")
    una.see("environment-shared")


def test_who_is_of_the_group_starts_from_it_by_digest_and_finds_what_was_installed(
    una: Visitor, vic: Visitor, platform: Platform
) -> None:
    shared = una.person.checkpoints()[0]
    vic.log_in("vic", platform.secret("password"))
    vic.spawn_page()
    form = vic.page.locator("form")
    form.get_by_text("An environment that others share with me (1)").click()
    expect(form).to_contain_text("“with cockle” · + 1 package: cockle 1.0")
    form.get_by_role("radio", name="una").check()
    vic.see("spawn-page-shared")
    vic.choose_and_start("Standard")
    vic.see("progress-shared")
    vic.wait_for_lab()
    image = vic.person.pod["spec"]["containers"][0]["image"]
    assert image == f"{ENVIRONMENTS}/una@{shared.digest}"
    vic.open_terminal()
    assert vic.type_in("cockle && ls -A") == 0
    panel = vic.show("environment")
    expect(panel).to_contain_text("Nothing changed over una’s environment")
    expect(panel.get_by_test_id("atoll-shared")).to_contain_text("Your server began with it")
    vic.see("environment-of-another")
    assert "quarter" not in vic.person.sh("ls")  # her home is hers


def test_who_is_not_of_the_group_is_neither_offered_nor_given_it(
    una: Visitor, wes: Visitor, platform: Platform
) -> None:
    shared = una.person.checkpoints()[0]
    wes.log_in("wes", platform.secret("password"))
    wes.spawn_page()
    expect(wes.page.locator("form")).to_contain_text("Standard")
    wes.see("spawn-page-of-a-stranger")
    assert "una" not in wes.page.content()
    # the hub answers so in the instant in which a start fails, as this one does at once
    wes.page.route("**/server/progress*", lambda route: route.fulfill(status=400))
    fresh = wes.page.get_by_role("radio", name="Start fresh")
    fresh.evaluate("(radio, digest) => { radio.value = digest }", shared.digest)
    wes.choose_and_start("Standard")
    expect(wes.page.locator("body")).to_contain_text("There is no such saved environment")
    expect(wes.page.get_by_role("heading")).to_contain_text("did not start")
    wes.see("refused")
    assert not wes.person.pods()


def test_what_was_started_from_it_goes_on_when_it_is_taken_back(
    una: Visitor, vic: Visitor, platform: Platform, tmp_path: Path
) -> None:
    vic.person.install(make_wheel(tmp_path, "limpet", "2.0"))
    saved = una.page.get_by_role("list", name="Saved environments").get_by_role("listitem").first
    saved.get_by_test_id("atoll-checkpoint-menu").click()
    una.page.get_by_role("menuitem", name="Share…").click()
    form = una.page.get_by_role("form", name="Share the environment")
    form.get_by_role("button", name="Take it back").click()
    expect(form).to_contain_text("Shared with nobody")
    una.see("taken-back")
    form.get_by_role("button", name="Done").click()
    una.stop()
    vic.stop()
    own = vic.person.settled()
    vic.spawn_page()
    expect(vic.page.locator("form")).to_contain_text("Continue where you stopped")
    expect(vic.page.locator("form")).not_to_contain_text("share with me")
    vic.see("spawn-page-taken-back")
    vic.choose_and_start("Standard")
    vic.wait_for_lab()
    image = vic.person.pod["spec"]["containers"][0]["image"]
    assert image == f"{ENVIRONMENTS}/vic@{own.environment}"
    assert vic.person.sh("cockle; limpet") == "cockle 1.0\nlimpet 2.0\n"
    vic.stop()
    vic.person.settled()
    una.person.settled()
