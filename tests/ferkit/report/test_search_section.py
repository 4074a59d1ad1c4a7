"""A search in the report: outcome, trials, history, importance, and the command that trains its best one anew."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
import yaml
from made_up_candidates import candidate
from pages_in_chromium import WIDTH, ask_browser

from ferkit.data import Profile
from ferkit.metrics.evaluation import CandidateRun
from ferkit.registry.verdict import Verdict
from ferkit.report.report import Origin, write_report
from ferkit.report.search_section import AT_ONCE, Dot, history_of, search_section
from ferkit.report.search_tables import best_candidates
from ferkit.search.record import Plan
from ferkit.search.settings import Search
from ferkit.search.space import Point
from ferkit.search.trials import SearchRecord, TrialRow
from ferkit.tracking.names import State

SPACE = {"architecture": "lenet", "learning_rate": {"low": 1e-4, "high": 0.1, "log": True}, "filters": [[8], [16]]}
TRIALS = 14


def trial(number: int, state: str, score: float | None = None, failure: str = "") -> TrialRow:
    values = {"architecture": "lenet", "learning_rate": round(0.001 * number, 4), "filters": [8 * (1 + number % 2)]}
    loss, epoch, seconds = (None, None, None) if score is None else (1.0 - score, 3, 60.0)
    name = f"trial {number}: learning_rate={values['learning_rate']}"
    point = Point(0, values)
    return TrialRow(number, f"t{number}", name, state, point, score, score, loss, epoch, seconds, 0, failure)


@pytest.fixture
def search() -> SearchRecord:
    """Fourteen trials: the third diverged, the fifth was pruned; the twelfth is best, and was evaluated."""
    trials = [trial(number, State.TRAINED, 0.4 + number / 100) for number in range(1, TRIALS + 1)]
    trials[2] = trial(3, State.FAILED, failure="loss is <no> number after epoch 2")
    trials[4] = trial(5, State.PRUNED, 0.2)
    trials[11] = trial(12, State.EVALUATED, 0.75)
    plan = Plan(Search.parse({"space": SPACE, "method": "random", "seed": 4}), {"epochs": 4, "seed": 7}, [])
    return SearchRecord("s", plan, trials)


@pytest.fixture
def runs(candidates: Sequence[CandidateRun]) -> list[CandidateRun]:
    """The candidates' runs as `register` reads them: of the trials, two were finalists."""
    trained = [candidate(f"t{number}", f"trial {number}", None) for number in range(1, TRIALS + 1)]
    finalists = [one for one in candidates if one.evaluation]
    return [*trained[:10], *trained[12:], *(replace(one, run_id=f"t{12 - at}") for at, one in enumerate(finalists))]


@pytest.fixture
def html(runs: Sequence[CandidateRun], verdict: Verdict, data: Profile, origin: Origin, search: SearchRecord) -> str:
    return write_report(runs, verdict, data, origin, search_section(search))


def test_the_outcome_is_one_line_and_the_best_trial_is_named(html: str):
    text = " ".join(re.sub("<[^>]+>", "", html).split())
    assert "14 trials in 13 m 00 s of training: 12 finished, 1 pruned, 1 failed. Drawn by random, seed 4" in text
    assert "The best is trial 12: learning_rate=0.012: macro-F1 0.750, accuracy 0.750." in text


def test_each_trial_is_a_row_with_its_values_and_figures_best_first(html: str):
    rows = rows_of(html)
    assert [int(row[0]) for row in rows] == [12, 14, 13, 11, 10, 9, 8, 7, 6, 4, 2, 1, 5, 3]
    assert rows[0][:9] == ["12", "0.750", "0.750", "0.250", "3", "[8]", "0.012", "1 m 00 s", "finalist"]
    assert rows[-2][1:2] + rows[-2][-1:] == ["0.200", "pruned"]
    assert rows[-1][1:5] == [""] * 4
    assert rows[-1][-1] == "failedloss is &lt;no&gt; number after epoch 2"
    assert f"{TRIALS - AT_ONCE} more trials" in html
    assert html.index("more trials") < html.index(">2</a></td>"), "the eleventh is folded away"
    assert 'href="https://mlflow.example/#/experiments/17/runs/t12?' in html


def rows_of(html: str) -> list[list[str]]:
    tables = re.findall('<table class="trials">(.*?)</table>', html, re.DOTALL)
    rows = [row for table in tables for row in re.findall("<tr>(<td.*?)</tr>", table, re.DOTALL)]
    return [[re.sub("<[^>]+>", "", cell).strip() for cell in re.findall("<td.*?>(.*?)</td>", row)] for row in rows]


def test_trials_that_were_no_finalists_are_in_no_other_table(html: str):
    before, after = html.split('<h2 id="search">Search</h2>')
    assert "trial 1<" not in before
    assert "not among the finalists" not in html
    assert before.count("not registered") == 2, "the two that were evaluated"
    made = after[after.index("How it was made") :]
    assert "trial 1<" not in made


def test_what_matters_is_told_or_why_it_is_not(
    html: str, runs: Sequence[CandidateRun], verdict: Verdict, data: Profile, origin: Origin, search: SearchRecord
):
    matters = html[html.index("What matters") : html.index("<h3>Trials")]
    assert "12 finished trials" in matters
    shares = [float(share) for share in re.findall(r"<em>([\d.]+)</em>", matters)]
    assert sum(shares) == pytest.approx(1, abs=0.011)
    short = replace(search, trials=[*search.trials[:4], search.trials[11]])
    few = write_report(runs, verdict, data, origin, search_section(short))
    assert "importance of the parameters is not shown: 4 trials finished, and it takes 10" in few


def test_the_best_one_is_a_config_that_is_trained_with_fresh_seeds(html: str):
    [config] = [text for text in re.findall("<pre><code>(.*?)</code></pre>", html, re.DOTALL) if "seeds" in text]
    [best] = yaml.safe_load(unescape(config))["candidates"]
    assert best == {"architecture": "lenet", "learning_rate": 0.012, "filters": [8], "seeds": [8, 9, 10]}
    assert f"ferpipe run --config runs:/{'4f' * 16}/search/best.yaml" in html


def test_fresh_seeds_are_none_of_those_that_were_searched(search: SearchRecord):
    seeded = [
        replace(one, point=Point(0, {"architecture": "lenet", "seed": seed}))
        for one, seed in zip(search.trials[-3:], (2, 9, 4), strict=True)
    ]
    assert best_candidates(replace(search, trials=seeded)) == {
        "candidates": [{"architecture": "lenet", "seeds": [10, 11, 12]}]
    }


def test_the_history_rises_with_the_best_so_far():
    history = history_of([trial(1, State.TRAINED, 0.5), trial(2, State.FAILED), trial(3, State.TRAINED, 0.7)])
    assert (history.low, history.high) == (0.5, 0.7)
    assert history.best == [(0.0, 0.0), (0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (1.0, 1.0)]
    assert history.dots[1] == Dot(0.5, 0.0, "failed", "trial 2: learning_rate=0.002: failed")


def test_one_trial_has_a_history_too():
    assert history_of([trial(1, State.TRAINED, 0.5)]).dots == [
        Dot(0.0, 0.0, "finished", "trial 1: learning_rate=0.001: 0.500")
    ]


def test_without_a_search_nothing_is_said_of_one(
    candidates: Sequence[CandidateRun], verdict: Verdict, data: Profile, origin: Origin
):
    assert 'id="search"' not in write_report(candidates, verdict, data, origin)


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_of_a_search_is_no_wider_than_its_window(width: int, html: str, tmp_path: Path):
    assert int(ask_browser(html, width, tmp_path, WIDTH)) <= width
