"""The report of a pipeline run: complete, self-contained, safe with any name, readable at any width."""

from __future__ import annotations

import re
import statistics
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest
from made_up_candidates import candidate, evaluation
from pages_in_chromium import WIDTH, ask_browser

from ferkit.data import Profile
from ferkit.metrics.evaluation import CandidateRun, Mistake
from ferkit.metrics.paired import Difference
from ferkit.registry.settings import Register
from ferkit.registry.verdict import NO_CHAMPION, Contender, Verdict
from ferkit.report.candidate_page import write_candidate_page
from ferkit.report.report import Origin, write_report
from ferkit.tracking import names


def without_champion(verdict: Verdict, compared_with: str = NO_CHAMPION) -> Verdict:
    return replace(verdict, champion=None, macro_f1=None, accuracy=None, recall={}, compared_with=compared_with)


def test_nothing_is_fetched_and_nothing_runs(
    candidates: list[CandidateRun], verdict: Verdict, data: Profile, origin: Origin
) -> None:
    html = write_report(candidates, verdict, data, origin)
    assert not re.search(r"<script|<link|<iframe|@import|url\(|\son\w+=", html)
    assert set(re.findall(r'src="([^"]{0,10})', html)) == {"data:image"}
    assert set(re.findall(r'<(\w+) href="([^"#]*)', html)) == {("a", "https://mlflow.example/")}


def test_parameters_ids_and_links_are_there(
    candidates: list[CandidateRun], verdict: Verdict, data: Profile, origin: Origin
) -> None:
    html = write_report(candidates, verdict, data, origin)
    for run_id in ("4f" * 16, "a", "b", "f"):
        assert f'href="https://mlflow.example/#/experiments/17/runs/{run_id}?' in html, run_id
    for version in ("8", "7", "3"):
        page = f"#/models/facial-expression/versions/{version}?workflowType=machine_learning"
        assert f'href="https://mlflow.example/{page}"' in html, version
    assert f"ferpipe run --config runs:/{'4f' * 16}/parameters.yaml" in html
    rows = {found[0]: found[1:] for found in map(_cells, re.findall("<tr>(.*?)</tr>", html, re.DOTALL))}
    assert rows["seed"] == ["a", "b", "f"], "what differs stands side by side, in the order of the verdict"
    assert rows["epochs"] == ["30"], "what does not, once"
    assert rows["csv"] == ["fer.csv"]


def _cells(row: str) -> list[str]:
    return [re.sub("<[^>]+>", "", cell).strip() for cell in re.findall("<td.*?>(.*?)</td>", row, re.DOTALL)] or [""]


def test_nothing_tells_who_may_ask_mlflow_or_leads_elsewhere(
    candidates: list[CandidateRun], verdict: Verdict, data: Profile, origin: Origin
) -> None:
    html = write_report(candidates, verdict, data, replace(origin, tracking_uri="https://ann:pw@mlflow.example"))
    assert "ann" not in re.findall('href="([^"]*)', html)[0]
    assert ":pw@" not in html
    assert "href" not in write_report(candidates, verdict, data, replace(origin, tracking_uri="javascript:alert(1)"))


def test_verdict_candidates_champion_data_and_card_are_all_there(
    candidates: list[CandidateRun], verdict: Verdict, data: Profile, origin: Origin
) -> None:
    html = write_report(candidates, verdict, data, origin)
    first = candidates[2].evaluation
    assert first is not None
    test = first.splits["test"]
    for expected in (
        "<h1>Version 8 (first &amp; &lt;best&gt;) is approved</h1>",
        f"{test.metrics['macro_f1']:.3f}",
        f"{test.intervals['macro_f1'].low:.3f} to {test.intervals['macro_f1'].high:.3f}",
        "version 3</a>, champion",
        "+0.031",
        "champion version 3 was trained on other data",
        "loss is no number after epoch 2",
        "Intended use",
        "84 rows show 41 pictures under more than one label",
        "11 test faces have the same pixels",
        "12 constant image",
        "Licence",
        "models:/facial-expression/8",
        "is sad 1%",
    ):
        assert expected in html, expected
    assert html.index("first &amp;") < html.index("second</a><small>"), "not in the order of the verdict"
    assert "<best>" not in html
    assert "failed <one>" not in html


def test_nothing_that_is_not_ours_is_html(verdict: Verdict, data: Profile, origin: Origin) -> None:
    """Names of runs, sentences, tags and the CSV's address, all with a script in them."""
    bad = "<script>alert(1)</script>\"'"
    found = evaluation(1)
    mistake = Mistake(7, bad, bad, 0.97, 0.01, bad)
    spoilt = replace(candidate("a", bad, replace(found, mistakes=[mistake])), status=bad, architecture=bad, failure=bad)
    failed = candidate("b", bad, None, bad)
    assert verdict.champion is not None
    spoilt_verdict = replace(
        verdict,
        status=bad,
        reasons=(bad,),
        notes=(bad,),
        compared_with=bad,
        champion=replace(verdict.champion, name=bad, version=bad),
        candidates=(Contender("a", bad, bad, bad, 0.5),),
    )
    spoilt_data = replace(data, source={"csv": bad, "sha256": bad, "version": bad, "rows": 7}, rejected={bad: 3})
    for html in (
        write_report([spoilt, failed], spoilt_verdict, spoilt_data, origin),
        write_candidate_page(spoilt, "sqlite:///mlflow.db"),
        write_candidate_page(failed, "sqlite:///mlflow.db"),
    ):
        assert "<script" not in html
        assert "&lt;script&gt;" in html


def test_without_a_champion_it_says_so(
    candidates: list[CandidateRun], verdict: Verdict, data: Profile, origin: Origin
) -> None:
    html = write_report(candidates, without_champion(verdict), data, origin)
    assert "There was no champion to compare with" in html


def test_a_champion_that_could_not_be_scored_is_no_missing_champion(
    candidates: list[CandidateRun], verdict: Verdict, data: Profile, origin: Origin
) -> None:
    html = write_report(candidates, without_champion(verdict, compared_with="3"), data, origin)
    assert "The champion, version 3, could not be scored" in html
    assert "no champion" not in html


def test_a_champion_that_is_judged_again_is_compared_with_nothing(
    candidates: list[CandidateRun], verdict: Verdict, data: Profile, origin: Origin
) -> None:
    itself = without_champion(verdict, compared_with=verdict.challenger.version)
    html = write_report(candidates, itself, data, origin)
    assert "there is nothing to compare it with" in html
    assert "could not be scored" not in html


def test_a_label_is_put_where_its_interval_leaves_room(
    candidates: list[CandidateRun], verdict: Verdict, data: Profile, origin: Origin
) -> None:
    ends = {"sad": (-0.4, -0.3), "fear": (0.3, 0.4), "angry": (-0.4, 0.4)}
    recall = {emotion: Difference(sum(pair) / 2, *pair) for emotion, pair in ends.items()}
    html = write_report(candidates, replace(verdict, recall=recall), data, origin)
    assert 'style="left:14.50%">\u22120.350</em>' in html
    assert 'style="right:13.50%">+0.350</em>' in html
    assert 'style="right:0">+0.000</em>' in html


def test_the_rule_told_is_the_policys(
    candidates: list[CandidateRun], verdict: Verdict, data: Profile, origin: Origin
) -> None:
    superiority = replace(verdict, policy=Register(comparison="superiority"))
    assert "has to lie above 0" in write_report(candidates, superiority, data, origin)


def test_drawn_faces_are_no_photographs_of_people(
    candidates: list[CandidateRun], verdict: Verdict, data: Profile, origin: Origin
) -> None:
    drawn = {"csv": "sample://?faces=900&seed=0", "kind": "sample"}
    before_kinds = {"csv": "sample"}
    for source in (drawn, before_kinds):
        html = write_report(candidates, verdict, replace(data, source={**data.source, **source}), origin)
        assert "ferpipe sample" in html
        assert "FER2013" not in html
    photographs = {"csv": "samples/fer2013.csv", "kind": "csv"}
    also_before_kinds = {"csv": "samples/fer2013.csv"}
    for source in (photographs, also_before_kinds):
        html = write_report(candidates, verdict, replace(data, source={**data.source, **source}), origin)
        assert "ferpipe sample" not in html
        assert "The pictures of FER2013" in html


def test_a_class_without_faces_has_no_interval_and_breaks_nothing() -> None:
    html = write_candidate_page(candidate("a", "one", evaluation(3, absent=1)), "sqlite:///mlflow.db")
    assert "nan" not in html.lower().replace("nance", "")


def test_the_page_of_a_failed_candidate_has_its_sentence() -> None:
    html = write_candidate_page(candidate("f", "failed", None, "loss <is> no number"), "sqlite:///mlflow.db")
    assert escape("loss <is> no number") in html


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_its_window(
    width: int, candidates: list[CandidateRun], verdict: Verdict, data: Profile, origin: Origin, tmp_path: Path
) -> None:
    assert int(ask_browser(write_report(candidates, verdict, data, origin), width, tmp_path, WIDTH)) <= width


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_zero_line_hides_no_minus(
    width: int, candidates: list[CandidateRun], verdict: Verdict, data: Profile, origin: Origin, tmp_path: Path
) -> None:
    worse = replace(verdict, macro_f1=Difference(-0.031, -0.06, -0.006))
    html = write_report(candidates, worse, data, origin)
    assert ask_browser(html, width, tmp_path, AT_ZERO) == "\u22120.031 on top"


AT_ZERO = """(() => {
  const label = document.querySelector(".track em"), zero = document.querySelector(".track .zero")
  label.scrollIntoView()
  const text = label.getBoundingClientRect(), line = zero.getBoundingClientRect()
  if (line.right < text.left || line.left > text.right) return "apart"
  const top = document.elementFromPoint(line.left + line.width / 2, (text.top + text.bottom) / 2)
  return label.textContent + (top === label ? " on top" : " under " + top.className)
})()"""
"""What lies on top where the first label and the line at zero cross."""


def test_a_candidate_that_was_no_finalist_did_not_fail(candidates, verdict, data, origin):
    trained, pruned = (candidate(run_id, run_id, None) for run_id in ("trained", "pruned"))
    further = [replace(each, tags={names.STATE: each.run_id}) for each in (trained, pruned)]
    html = write_report([*candidates, *further], verdict, data, origin)
    assert "trained, but not among the finalists" in html
    assert "pruned by its search" in html
    assert html.count('<span class="badge failed">') == 1


def test_seeds_of_one_candidate_get_their_mean_and_deviation(candidates, verdict, data, origin):
    seeded = [replace(each, tags={**each.tags, names.GROUP: "lenet <tuned>"}) for each in candidates]
    html = write_report(seeded, verdict, data, origin)
    figures = [each.evaluation.splits["test"].metrics["macro_f1"] for each in candidates if each.evaluation]
    assert f"{statistics.fmean(figures):.3f} ± {statistics.stdev(figures):.3f}" in html
    assert "lenet &lt;tuned&gt;" in html
    assert "2 of 3" in html
    assert "Over seeds" not in write_report(candidates, verdict, data, origin)
