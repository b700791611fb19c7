"""A day in a cluster as its user sees it: from the login to a lab where everything is there again.

The chapters build on each other. Pictures of each step are in `build/screenshots/kubernetes`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll.checkpoints.models import Trigger
from playwright.sync_api import Browser, expect

from tests.browser.lab import chromium
from tests.kubernetes.away import without_agents, without_registry
from tests.kubernetes.driver import Platform, objects
from tests.kubernetes.page import HOME, Visitor, notebook, visiting
from tests.kubernetes.where import ENVIRONMENTS
from tests.platform.driver import eventually, make_wheel

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]

NAME = "mia"
REPORT = (
    "import seashell\nseashell.main()",
    "import time, pathlib\ntime.sleep(4)\nprint('in the middle')",
    "print('ended well')",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def mia(browser: Browser, platform: Platform) -> Iterator[Visitor]:
    """Somebody of the group `ml`, who has her password."""
    with visiting(browser, platform, NAME) as mia:
        platform.join("ml", NAME)
        yield mia


@pytest.fixture(autouse=True)
def pictured(request: pytest.FixtureRequest, mia: Visitor) -> Iterator[None]:
    """What was on the screen when a chapter failed."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        mia.see(f"failed-{request.node.name}")


def test_log_in_and_start_a_profile_of_her_group(mia: Visitor, platform: Platform) -> None:
    mia.log_in(NAME, platform.secret("password"))
    mia.spawn_page()
    page = mia.page.locator("form")
    expect(page).to_contain_text("Standard")
    expect(page).to_contain_text("For some")
    mia.see("spawn-page")
    others = platform.user("nel").http.get("hub/spawn").text
    assert "Standard" in others
    assert "For some" not in others
    mia.choose_and_start("For some")
    expect(mia.steps.first).to_be_visible()
    mia.see("progress")
    mia.wait_for_lab()
    mia.see("lab")
    assert mia.person.servers()[""]["user_options"]["profile"] == "ml"


def test_what_she_installs_in_a_terminal_is_unsaved_and_named(mia: Visitor, tmp_path: Path) -> None:
    expect(mia.page.get_by_test_id("atoll-status")).to_contain_text("nothing to save")
    wheel = make_wheel(tmp_path, "seashell", "1.0")
    mia.write(wheel.name, wheel.read_bytes())
    mia.open_terminal()
    assert mia.type_in(f"pip install --no-index {HOME}/{wheel.name}") == 0
    assert (
        mia.type_in("mkdir -p /opt/environment/tools && echo kept > /opt/environment/tools/mine")
        == 0
    )
    mia.see("terminal")
    expect(mia.page.get_by_test_id("atoll-status")).to_contain_text("2 unsaved changes")
    panel = mia.show("environment")
    unsaved = panel.get_by_test_id("atoll-unsaved")
    expect(unsaved).to_contain_text("seashell")
    expect(unsaved).to_contain_text("/opt/environment")
    mia.see("environment-unsaved")


def test_a_job_runs_in_a_pod_of_the_environment_as_it_is(mia: Visitor, platform: Platform) -> None:
    mia.write("report.ipynb", notebook(*REPORT))
    mia.open_notebook("report.ipynb")
    mia.notebook.get_by_role("button", name="Run as job").click()
    form = mia.page.get_by_test_id("atoll-run-form")
    expect(form.get_by_role("button", name="Run", exact=True)).to_be_visible()
    mia.see("run-form")
    form.get_by_role("button", name="Run", exact=True).click()
    expect(form).to_have_count(0)
    row = mia.show("jobs").locator("li", has_text="report.ipynb").first
    mia.see("job-waits")
    expect(row).to_contain_text("cell 2 of 3")
    mia.see("job-runs")
    (pod,) = objects("pods", platform.jobs, "atoll.dev/job")
    (saved,) = mia.person.checkpoints()
    assert saved.trigger == Trigger.JOB
    assert pod["spec"]["containers"][0]["image"].endswith(f"@{saved.digest}")
    row.get_by_test_id("atoll-job-open-output").click()
    expect(mia.notebook).to_contain_text("seashell 1.0")
    expect(mia.notebook).to_contain_text("ended well")
    mia.see("job-output")
    expect(mia.page.get_by_test_id("atoll-status")).to_contain_text("saved")


def test_while_the_registry_is_away_a_save_says_so_and_then_goes_on(
    mia: Visitor, platform: Platform
) -> None:
    mia.open_terminal()
    assert mia.type_in("echo more > /opt/environment/tools/more") == 0
    panel = mia.show("environment")
    with without_registry(platform):
        panel.get_by_test_id("atoll-save").click()
        expect(panel).to_contain_text("registry")
        mia.see("environment-registry-away")
    eventually(lambda: mia.person.checkpoints()[0].status, lambda status: status.final, 120)


def test_stopped_and_started_at_once_she_sees_it_saved_and_finds_everything(
    mia: Visitor, platform: Platform
) -> None:
    with without_agents(platform):
        mia.stop()
        mia.see("control-panel-stopped")
        mia.spawn_page()
        expect(mia.page.locator("form")).to_contain_text("Continue where you stopped")
        mia.see("spawn-page-while-saved")
        mia.press_start()
        expect(mia.steps.last).to_contain_text(re.compile("sav|agent"))
        mia.see("progress-waits-for-the-save")
    mia.wait_for_lab()
    mia.see("lab-again")
    mia.open_terminal()
    assert mia.type_in("seashell && grep kept /opt/environment/tools/mine") == 0
    assert mia.type_in("grep more /opt/environment/tools/more") == 0
    server = mia.person.server()
    image = mia.person.pod["spec"]["containers"][0]["image"]
    assert server.environment is not None
    assert image == f"{ENVIRONMENTS}/{NAME}@{server.environment}"
    expect(mia.page.get_by_test_id("atoll-status")).to_contain_text("saved")
    expect(mia.show("environment").get_by_test_id("atoll-saved")).to_contain_text("on stop")
    mia.see("environment-saved")


def test_a_start_that_cannot_be_says_why_and_leads_back(mia: Visitor) -> None:
    mia.stop()
    mia.person.settled()
    mia.spawn_page()
    expect(mia.page.locator("form")).to_contain_text("seashell 1.0")
    mia.see("spawn-page-continue")
    mia.choose_and_start("Nowhere")
    expect(mia.steps.last).to_contain_text("Insufficient")
    mia.see("progress-waits-for-a-node")
    back = mia.page.get_by_role("button", name="To the start page")
    expect(back).to_be_visible()
    mia.see("progress-refused")
    back.click()
    expect(mia.page.locator("form")).to_contain_text("Continue where you stopped")
    mia.choose_and_start("Standard")
    mia.wait_for_lab()
    mia.stop()
    mia.person.settled()
