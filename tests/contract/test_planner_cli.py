"""`darkroom cost`, `simulate` and `plan` as a script sees them: what they print, and their exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from tests.command_line import darkroom
from typer.testing import CliRunner

from darkroom.cli.costing import cost
from darkroom.cli.planning import plan
from darkroom.cli.simulating import simulate
from darkroom.errors import DarkroomError

pytestmark = pytest.mark.slow


TASKS = "created_at,started_at,ended_at,device_seconds,caller\n" + "".join(
    f"{1_800_000_000 + 30 * index},{1_800_000_000 + 30 * index + index % 7},{1_800_000_000 + 30 * index + 20},"
    f"{4 + index % 3},{'shop' if index % 4 else 'press'}\n"
    for index in range(400)
)


def run(folder: Path, *arguments: str, code: int = 0) -> str:
    ran = darkroom(*arguments, folder=folder, environment={**os.environ, "COLUMNS": "200"})
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout if code != 2 else ran.stderr


def test_cost_says_a_month_as_a_table_json_csv_and_picture(tmp_path: Path) -> None:
    assert "USD a month in us-east-1" in run(tmp_path, "cost")
    document = json.loads(run(tmp_path, "cost", "--format", "json", "--picture", "cost.svg"))
    rows = list(csv.DictReader(io.StringIO(run(tmp_path, "cost", "--format", "csv"))))
    assert sum(float(row["usd"]) for row in rows) == pytest.approx(document["usd"], abs=0.01)
    assert f"{document['usd']:,.2f}" in (tmp_path / "cost.svg").read_text()


def test_the_guides_tables(tmp_path: Path) -> None:
    text = run(tmp_path, "cost", "--guide")
    for amount in ("226.18", "210.24", "436.42 USD; the guide states 436.72"):
        assert amount in text


def test_each_caller_pays_for_what_he_used(tmp_path: Path) -> None:
    (tmp_path / "tasks.csv").write_text(TASKS)
    text = run(tmp_path, "cost", "--usage", "tasks.csv")
    rows = {line.split()[0]: line for line in text.splitlines() if len(line.split()) == 4}
    assert "300" in rows["shop"]
    assert "100" in rows["press"]
    assert text.index("shop") < text.index("press")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["cost", "--region", "eu-north-1"], "darkroom cost refresh --region eu-north-1"),
        (["simulate", "--region", "eu-central-1"], "darkroom cost refresh --region eu-central-1 --to prices.toml"),
        (["plan", "--region", "ap-northeast-1"], "give them with --prices prices.toml"),
        (["cost", "--instance-type", "x1.huge"], '"ec2.x1.huge.hour" = 0.0'),
        (["cost", "--price", "eks"], "write --price NAME=USD"),
        (["cost", "--price", "s3.putt=1"], "--price s3.putt: there is no price of this name; did you mean 's3.put'?"),
        (["simulate", "--price", "nothing=1"], "--price nothing: there is no price of this name"),
        (["cost", "--format", "xml"], "use table, json, csv"),
        (["cost", "--mix", "other=1"], "config.yaml's runtimes with nodes of their own are sdruntime"),
        (["simulate", "--traffic", "nowhere.csv"], "nowhere.csv cannot be read"),
        (["simulate", "--seconds", "quick"], "is no duration"),
        (["simulate", "--set", "queueLength=0"], "--set queueLength=0: queueLength must be at least 1"),
        (["simulate", "--set", "pollingInterval=0"], "must be at least 1"),
        (["simulate", "--set", "minReplicaCount=50"], "minReplicaCount, 50, is more than maxReplicaCount, 20"),
        (["simulate", "--boot", "nan"], "--boot nan cannot be: write a number of at least 0"),
        (["simulate", "--per-day", "1e15"], "are more than the 200,000,000 that are simulated at most"),
        (["simulate", "--models", "0"], "--models are shares of the tasks"),
        (["plan", "--hazard", "inf"], "--hazard inf cannot be"),
        (["plan", "--type", "g5.xlarge=-1"], "write TYPE=SECONDS with a number above 0"),
        (["cost", "--lookups", "inf"], "--lookups inf cannot be"),
        (["simulate", "--set", "queues=4"], "is no scaling value that is simulated"),
        (["simulate", "--set", "queueLength=many"], "write NAME=NUMBER"),
        (["simulate", "--runtime", "other"], "config.yaml has no runtime other: it has sdruntime"),
        (["simulate", "--config", "there.yaml"], "there.yaml"),
        (["simulate", "--low", "0.5"], "sdruntime take no tasks of low priority; set lowPriority: true"),
        (["plan", "--p95", "soon"], "is no time above 0"),
        (["plan", "--type", "g5.xlarge"], "write TYPE=SECONDS"),
        (["plan", "--type", "x1.huge=4"], '"ec2.x1.huge.hour" = 0.0'),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.add_typer(cost, name="cost")
    app.command()(simulate)
    app.command()(plan)
    refused = CliRunner().invoke(app, arguments)
    assert isinstance(refused.exception, DarkroomError)
    assert told in str(refused.exception)


def test_a_refusal_is_told_and_its_exit_code_is_two(tmp_path: Path) -> None:
    assert "use table, json, csv" in run(tmp_path, "cost", "--format", "xml", code=2)


def test_simulate_repeats_and_draws(tmp_path: Path) -> None:
    arguments = ["simulate", "--traffic", "bursty", "--per-day", "500", "--days", "1", "--seconds", "exponential:6"]
    one, again, other = (
        json.loads(run(tmp_path, *arguments, "--json", "--seed", seed, "--picture", "run.svg")) for seed in "112"
    )
    assert one == again != other
    assert one["sdruntime"]["waiting"]["p95"] > 100
    assert "Tasks that wait" in (tmp_path / "run.svg").read_text()


def test_simulate_takes_what_there_was(tmp_path: Path) -> None:
    (tmp_path / "tasks.csv").write_text(TASKS)
    found = json.loads(run(tmp_path, "simulate", "--traffic", "tasks.csv", "--json"))["sdruntime"]
    assert found["tasks"] == 400
    assert found["gpu_hours_busy"] == pytest.approx(400 * 5 / 3600, rel=0.05)


def test_runtimes_of_a_pool_are_simulated_together(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "nodePools: [{name: shared}]\nmodelsRuntime:\n"
        "- {name: a, type: sdwebui, nodePool: shared, lowPriority: true}\n"
        "- {name: b, type: comfyui, nodePool: shared}\n"
        "- {name: c, type: comfyui}\n"
    )
    arguments = ["simulate", "--days", "0.2", "--mix", "a=2", "--mix", "b=1", "--mix", "c=1", "--low", "0.3"]
    found = json.loads(run(tmp_path, *arguments, "--json", "--picture", "run.svg"))
    assert list(found) == ["a", "b", "nodes of shared", "c"]
    assert "most_nodes" not in found["a"]
    assert "tasks" not in found["nodes of shared"]
    assert found["nodes of shared"]["nodes_launched"] > 0 < found["c"]["nodes_launched"]
    assert "waiting_low_priority" in found["a"]
    assert "waiting_low_priority" not in found["b"]
    assert sorted(path.name for path in tmp_path.glob("*.svg")) == ["run-a.svg", "run-b.svg", "run-c.svg"]


def test_plan_meets_a_target_or_says_why_not(tmp_path: Path) -> None:
    traffic = ["--traffic", "office", "--per-day", "40", "--days", "2", "--seconds", "6", "--json"]
    found = json.loads(run(tmp_path, "plan", *traffic, "--p95", "60s", "--picture", "plan.svg"))
    assert found["best"]["p95"] <= 60
    assert "queueLength" in found["config"]
    assert "best" in (tmp_path / "plan.svg").read_text()
    found = json.loads(run(tmp_path, "plan", *traffic, "--p95", "1s", "--budget", "20", code=1))
    assert found["best"] is None
    assert "No setting that may come within twice the budget has a 95th percentile of 1.0 s" in found["why_not"]
    assert "allow a larger budget" in found["why_not"]


def test_plan_compares_with_what_there_was(tmp_path: Path) -> None:
    (tmp_path / "tasks.csv").write_text(TASKS)
    found = json.loads(run(tmp_path, "plan", "--from-usage", "tasks.csv", "--p95", "2m", "--json"))
    assert found["real"] == {"tasks": 400, "p50": 3.0, "p95": 6.0, "device_hours": pytest.approx(0.555, abs=0.005)}
    assert found["now"]["queueLength"] == 3
    (tmp_path / "tasks.csv").write_text("created_at\n1\n2\n")
    assert "no task says when it began" in run(tmp_path, "plan", "--from-usage", "tasks.csv", code=2)


def test_ctrl_c_ends_a_plan_at_once_and_without_a_traceback(tmp_path: Path) -> None:
    """As a terminal does, it interrupts the processes that simulate, too: while they start, and when they work."""
    if not Path("/proc/self/task").exists():
        pytest.skip("needs Linux, which tells a process's children")
    for after in (0, 0.4):
        ran = subprocess.Popen(
            [sys.executable, "-m", "darkroom", "plan"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )  # fmt: skip
        children = Path(f"/proc/{ran.pid}/task/{ran.pid}/children")
        deadline = time.monotonic() + 60
        while len(children.read_text().split()) < 2 and ran.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(after)
        os.killpg(ran.pid, signal.SIGINT)
        said, _ = ran.communicate(timeout=30)
        assert ran.returncode == 130
        assert "Traceback" not in said
