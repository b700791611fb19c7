"""The whole story in a real browser on the real platform, one chapter after the other.

The chapters build on each other, as a person's day does: each begins where the one before ended.
Pictures of each step are in `build/story`.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import psutil
import pytest
from atoll.apps.platform_state import Phase
from atoll.jobs import client
from atoll.jobs.models import JobStatus
from playwright.sync_api import Response, expect

from hub_config.auth_secrets import user_password
from tests.platform.driver import Platform, atoll, eventually

from .conftest import SHOTS
from .drawing import draw
from .lab import START_MS, WORK_MS, Person

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

REPORT = [
    ("parameters", "month = 1  # which month\nname = 'EWR'"),
    ("", "import atoll\nflights = atoll.dataset('flights').to_pandas()"),
    ("", "chosen = flights[(flights.month == month) & (flights.origin == name)]"),
    ("", "import seashell\nprint('shells', seashell.__version__)"),
    ("", "print(f'{len(chosen):,} flights from {name} in month {month}')"),
]
LONG = [
    ("", "print('begun')"),
    ("", "import time, pathlib\nwhile not pathlib.Path('go-on').exists():\n    time.sleep(0.2)"),
    ("", "import seashell\nprint('ended with', seashell.__version__)"),
]


WAITS = [
    ("", "print('begun')"),
    (
        "",
        "import time, pathlib\nwhile not pathlib.Path('go-on-again').exists():\n    time.sleep(0.2)",
    ),
    ("", "print('ended well')"),
]


def write_notebook(path: Path, cells: list[tuple[str, str]]) -> None:
    """A notebook of code cells: (tag, source)."""
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}
    )
    for tag, source in cells:
        metadata = {"tags": [tag]} if tag else {}
        notebook.cells.append(nbformat.v4.new_code_cell(source, metadata=metadata))
    nbformat.write(notebook, path)


def new_notebook(ada: Person, ada_home: Path, name: str) -> None:
    """Open a new notebook of one cell."""
    write_notebook(ada_home / f"{name}.ipynb", [("", "1 + 1")])
    ada.open_notebook(f"{name}.ipynb")


def run_as_job(ada: Person, name: str) -> None:
    """Open the notebook and run it with the form as it comes."""
    ada.open_notebook(name)
    ada.notebook.get_by_role("button", name="Run as job").click()
    form = ada.page.get_by_test_id("atoll-run-form")
    form.get_by_role("button", name="Run", exact=True).click()
    expect(form).to_have_count(0)


def stop_from_the_hub(ada: Person, platform: Platform) -> None:
    """Stop the server in a tab of its own; the lab's stays open."""
    hub = ada.page.context.new_page()
    hub.goto(f"{platform.url}hub/home")
    expect(hub.get_by_text("Stop means saved")).to_be_visible()
    hub.locator("#stop").click()
    expect(hub.locator("#start")).to_contain_text("Start", timeout=WORK_MS)
    hub.close()


def not_running(response: Response) -> bool:
    """Whether the hub told JupyterLab that there is no server."""
    return "/api/sessions" in response.url and response.status == 424


def running_jobs(platform: Platform) -> list[psutil.Process]:
    """The processes that run this platform's jobs; another's on this machine are not ours."""
    jobs = str(platform.home.jobs)
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "atoll.jobs.execute" in command and command[-1].startswith(jobs):
            found.append(process)
    return found


def test_log_in_choose_and_watch_the_start(ada: Person, platform: Platform) -> None:
    ada.log_in("ada", user_password(platform.home))
    ada.spawn_page()
    ada.see("spawn-page")
    assert "Continue where you stopped" not in ada.page.content()
    ada.page.get_by_role("button", name=re.compile("^start", re.I)).first.click()
    ada.see("progress")
    ada.wait_for_lab()
    ada.see("lab")


def test_find_a_dataset_look_at_it_and_load_it(ada: Person, ada_home: Path) -> None:
    new_notebook(ada, ada_home, "first")
    panel = ada.show("datasets")
    row = panel.get_by_test_id("atoll-dataset-flights")
    expect(row).to_contain_text("336,776 × 19")
    expect(panel.get_by_test_id("atoll-dataset-weather")).to_contain_text("26,115 × 15")
    row.click()
    details = panel.get_by_test_id("atoll-dataset-details")
    expect(details.get_by_test_id("atoll-schema")).to_contain_text("dep_delay")
    ada.see("datasets-schema")
    details.get_by_role("tab", name="Sample").click()
    expect(details.get_by_test_id("atoll-sample").locator("tbody tr").first).to_contain_text("2013")
    ada.see("datasets-sample")
    details.get_by_test_id("atoll-dataset-insert").click()
    expect(ada.notebook.locator(".jp-Cell")).to_have_count(2)
    ada.run_cell(1)
    assert "(336776, 19)" in ada.add_and_run("flights.shape")
    assert "dep_delay" in ada.add_and_run("flights.head()")
    ada.see("dataframe")


def test_install_from_a_terminal_and_from_a_notebook(
    ada: Person, ada_home: Path, wheels: Path
) -> None:
    ada.open_terminal()
    assert ada.type(f"pip install --no-index --find-links {wheels} seashell", ada_home) == 0
    ada.see("terminal")
    status = ada.page.get_by_test_id("atoll-status")
    expect(status).to_contain_text("1 unsaved change", timeout=WORK_MS)
    new_notebook(ada, ada_home, "install")
    ada.add_and_run(f"%pip install --no-index --find-links {wheels} driftwood")
    expect(status).to_contain_text("2 unsaved changes", timeout=WORK_MS)
    panel = ada.show("environment")
    expect(panel.get_by_test_id("atoll-unsaved")).to_contain_text("seashell")
    expect(panel.get_by_test_id("atoll-unsaved")).to_contain_text("driftwood")
    ada.see("environment-unsaved")
    draw(ada.page, SHOTS / "lab.svg", "JupyterLab: a notebook, and what is not saved yet")
    assert ">seashell<" in (SHOTS / "lab.svg").read_text()


def test_run_the_notebook_as_a_job_and_open_its_output(ada: Person, ada_home: Path) -> None:
    write_notebook(ada_home / "report.ipynb", REPORT)
    ada.open_notebook("report.ipynb")
    ada.notebook.get_by_role("button", name="Run as job").click()
    form = ada.page.get_by_test_id("atoll-run-form")
    month = form.get_by_label("month")
    expect(month).to_have_value("1")
    month.fill("7")
    ada.see("run-form")
    form.get_by_role("button", name="Run", exact=True).click()
    expect(form).to_have_count(0)
    panel = ada.show("jobs")
    row = panel.locator("li", has_text="report.ipynb").first
    expect(row).to_contain_text(re.compile(r"cell \d of 5|Done|Queued|queued", re.I))
    ada.see("job-running")
    row.get_by_test_id("atoll-job-open-output").click(timeout=START_MS)
    output = ada.notebook
    expect(output).to_contain_text("shells 1.0", timeout=WORK_MS)
    expect(output).to_contain_text("10,475 flights from EWR in month 7")
    ada.see("job-output")


def test_the_server_was_saved_on_the_spot_for_the_job(ada: Person) -> None:
    expect(ada.page.get_by_test_id("atoll-status")).to_contain_text("saved", timeout=WORK_MS)
    panel = ada.show("environment")
    expect(panel.get_by_role("list", name="Saved environments")).to_contain_text("for a job")
    ada.see("environment-saved")


def test_a_job_goes_on_when_the_server_is_stopped(
    ada: Person, ada_home: Path, platform: Platform
) -> None:
    write_notebook(ada_home / "long.ipynb", LONG)
    run_as_job(ada, "long.ipynb")
    row = ada.show("jobs").locator("li", has_text="long.ipynb").first
    expect(row).to_contain_text("cell 2 of 3", timeout=WORK_MS)
    stop_from_the_hub(ada, platform)
    user = platform.user("ada")
    assert user.saved().unsaved is None
    with user.connection() as service:
        (job,) = service.send(client.jobs(status=JobStatus.RUNNING)).items
    assert job.name == "long.ipynb"


def test_the_tab_that_is_still_open_says_that_the_server_is_stopped(ada: Person) -> None:
    expect(ada.page.get_by_test_id("atoll-stopped").first).to_contain_text("jobs go on")
    with ada.page.expect_response(not_running, timeout=WORK_MS):
        pass  # JupyterLab has heard it too, and asks nothing
    expect(ada.page.locator(".jp-Dialog")).to_have_count(0)
    environment = ada.show("environment")
    expect(environment).to_contain_text("Stopping saves your environment")
    expect(environment.get_by_test_id("atoll-save")).to_have_count(0)
    expect(ada.page.get_by_test_id("atoll-status")).to_contain_text("server stopped")
    ada.notebook.get_by_role("button", name="Run as job").click()
    told = ada.page.locator(".jp-Dialog")
    expect(told).to_contain_text("Start it again to go on working")
    ada.see("server-stopped")
    told.get_by_role("button", name="Dismiss").click()


def test_start_again_and_everything_is_there(ada: Person, ada_home: Path) -> None:
    ada.spawn_page()
    expect(ada.page.locator("body")).to_contain_text("Continue where you stopped")
    expect(ada.page.locator("body")).to_contain_text("seashell 1.0")
    ada.see("spawn-page-again")
    ada.start()
    new_notebook(ada, ada_home, "again")
    assert "1.0" in ada.add_and_run("import seashell, driftwood; seashell.__version__")
    ada.open_terminal()
    assert ada.type("seashell && python -c 'import driftwood'", ada_home) == 0


def test_the_job_has_ended_well_meanwhile(ada: Person, ada_home: Path) -> None:
    (ada_home / "go-on").touch()
    row = ada.show("jobs").locator("li", has_text="long.ipynb").first
    row.get_by_test_id("atoll-job-open-output").click(timeout=WORK_MS)
    expect(ada.notebook).to_contain_text("ended with 1.0", timeout=WORK_MS)
    ada.see("long-job-output")


def test_the_same_from_a_notebook_and_from_a_shell(ada: Person, ada_home: Path) -> None:
    new_notebook(ada, ada_home, "sdk")
    text = ada.add_and_run(
        "import atoll\n"
        "job = atoll.submit('report.ipynb', parameters={'month': 2}).wait()\n"
        "print(job.status, len(atoll.datasets()), atoll.dataset('weather').to_pandas().shape)"
    )
    assert "succeeded" in text
    assert "(26115, 15)" in text
    assert "ready" in ada.add_and_run("atoll.checkpoint('from the notebook').status")
    ada.open_terminal()
    assert ada.type("atoll datasets show flights && atoll checkpoints list", ada_home) == 0
    assert ada.type("atoll jobs submit report.ipynb -p month=3 --wait", ada_home) == 0
    ada.see("shell")


def test_go_back_to_the_checkpoint_before(ada: Person, ada_home: Path, newer_wheels: Path) -> None:
    ada.open_terminal()
    install = f"pip install --no-index --find-links {newer_wheels} --upgrade seashell"
    assert ada.type(install, ada_home) == 0
    panel = ada.show("environment")
    expect(panel.get_by_test_id("atoll-unsaved")).to_contain_text("1.0 → 2.0", timeout=WORK_MS)
    ada.see("environment-upgraded")
    saved = panel.get_by_role("list", name="Saved environments").get_by_role("listitem")
    saved.first.get_by_test_id("atoll-checkpoint-menu").click()
    ada.page.get_by_role("menuitem", name="Go back to it…").click()
    ada.see("go-back")
    ada.page.get_by_role("button", name="Restart now").click()
    ada.page.wait_for_url(re.compile("/hub/spawn"), timeout=WORK_MS)
    ada.see("spawn-page-going-back")
    ada.start()
    new_notebook(ada, ada_home, "gone-back")
    assert "1.0" in ada.add_and_run("import seashell; seashell.__version__")
    ada.show("environment")
    expect(ada.page.get_by_role("list", name="Saved environments")).to_contain_text("on stop")
    ada.see("environment-gone-back")


def test_start_fresh_from_the_base(ada: Person, platform: Platform, ada_home: Path) -> None:
    ada.page.goto(f"{platform.url}hub/home")
    ada.page.locator("#stop").click()
    expect(ada.page.locator("#start")).to_contain_text("Start", timeout=WORK_MS)
    ada.spawn_page()
    ada.page.get_by_label("Start fresh").check()
    ada.start()
    new_notebook(ada, ada_home, "fresh")
    assert "ModuleNotFoundError" in ada.add_and_run("import seashell")
    expect(ada.show("environment").get_by_test_id("atoll-unsaved")).to_contain_text(
        "Nothing changed"
    )


@pytest.mark.parametrize("part", ["proxy", "hub", "service"])
def test_a_part_is_killed_and_the_story_goes_on(
    ada: Person, platform: Platform, ada_home: Path, part: str
) -> None:
    new_notebook(ada, ada_home, f"after-{part}")
    ada.add_and_run("kept = 'in the kernel'")
    killed = platform.pid(part)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: platform.part(part), lambda pid: pid not in (None, killed))
    eventually(lambda: platform.status.phase, lambda phase: phase is Phase.READY)
    assert "in the kernel" in ada.add_and_run("kept")
    assert "(336776, 19)" in ada.add_and_run(
        "import atoll; atoll.dataset('flights').to_pandas().shape"
    )
    expect(ada.show("datasets").get_by_test_id("atoll-dataset-flights")).to_be_visible()
    expect(ada.page.get_by_test_id("atoll-away")).to_have_count(0, timeout=WORK_MS)
    ada.see(f"after-{part}-was-killed")


def test_a_job_that_is_killed_says_so_and_can_be_run_again(
    ada: Person, platform: Platform, ada_home: Path
) -> None:
    write_notebook(ada_home / "waits.ipynb", WAITS)
    run_as_job(ada, "waits.ipynb")
    row = ada.show("jobs").locator("li", has_text="waits.ipynb").first
    expect(row).to_contain_text("cell 2 of 3", timeout=WORK_MS)
    (runner,) = running_jobs(platform)
    runner.kill()
    expect(row).to_contain_text("ailed", timeout=WORK_MS)
    ada.see("job-killed")
    row.get_by_test_id("atoll-job-again").click()
    row = ada.page.locator("#atoll-jobs li", has_text="cell 2 of 3")
    expect(row).to_be_visible(timeout=WORK_MS)


def test_down_and_up_in_the_middle_of_everything(
    ada: Person, platform: Platform, ada_home: Path, wheels: Path
) -> None:
    ada.open_terminal()
    assert ada.type(f"pip install --no-index --find-links {wheels} driftwood", ada_home) == 0
    (runner,) = running_jobs(platform)
    port = urlsplit(platform.url).port
    atoll(platform.home, "down")
    assert runner.is_running()
    (ada_home / "go-on-again").touch()
    atoll(platform.home, "up", "--detach", "--port", str(port))
    ada.spawn_page()
    expect(ada.page.locator("body")).to_contain_text("driftwood 1.0")
    ada.start()
    new_notebook(ada, ada_home, "after-down")
    assert "1.0" in ada.add_and_run("import driftwood; driftwood.__version__")
    done = ada.show("jobs").locator("li[data-status=succeeded]", has_text="waits.ipynb")
    done.get_by_test_id("atoll-job-open-output").click(timeout=WORK_MS)
    expect(ada.notebook).to_contain_text("ended well", timeout=WORK_MS)
    ada.see("after-down-and-up")
