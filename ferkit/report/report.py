"""The report of a pipeline run, which is the model card of its challenger too; and the page of a single candidate.

Pure functions of what was found out: HTML in one string, self-contained, to be opened from disk.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ferkit.data import EMOTIONS, SPLITS, Profile
from ferkit.metrics.evaluation import CandidateRun, Evaluation, SplitScores
from ferkit.report import card, groups
from ferkit.report.page import (
    Mark,
    bar_chart,
    bullets,
    confusion_table,
    dot_chart,
    facts,
    legend,
    page,
    reliability_chart,
    table,
)
from ferkit.tracking import names

NAN = float("nan")


def write_report(candidates: Sequence[CandidateRun], verdict: Mapping[str, Any], data: Profile) -> str:
    """The report of a pipeline run: verdict, candidates and champion side by side, data, model card.

    Args:
        candidates: of the run, in any order; those that failed too.
        verdict: of the gate, as `Verdict.to_dict()` of ferkit/registry/verdict.py gives it.
        data: profile of the data set that the candidates were trained on.

    Returns:
        HTML.
    """
    order = {str(entry["run_id"]): place for place, entry in enumerate(verdict["candidates"])}
    candidates = sorted(candidates, key=lambda candidate: order.get(candidate.run_id, len(order)))
    scored = [(candidate.name, candidate.evaluation) for candidate in candidates if candidate.evaluation]
    chosen = verdict["challenger"]
    evaluation = next((each.evaluation for each in candidates if each.run_id == chosen["run_id"]), None)
    title = f"Version {chosen['version']} ({chosen['name']}) is {verdict['status']}"
    body = [
        _header(title, candidates, verdict, data),
        "<h2>Candidates</h2>",
        _candidate_table(candidates, verdict),
        *groups.sections(candidates),
        *_against_champion(verdict),
        *_per_class(scored, verdict["champion"]),
        *_confusions(scored),
        *_calibration(scored),
        *_mistakes(chosen["name"], evaluation),
        *_data(data),
        *card.sections(data, evaluation, verdict["model"], chosen["version"]),
    ]
    return page(title, body)


def write_candidate_page(candidate: CandidateRun) -> str:
    """The page of one candidate, for Kubeflow's UI; for one that was not scored it says why."""
    title = f"{candidate.name}: {'evaluation' if candidate.evaluation else 'not scored'}"
    head = [
        '<div class="eyebrow">Facial expression · candidate</div>',
        f"<h1>{escape(title)}</h1>",
        facts({"MLflow run": candidate.run_id, "Architecture": candidate.architecture, "Status": candidate.status}),
    ]
    if candidate.evaluation is None:
        return page(title, [*head, f"<p>{escape(candidate.failure or 'Its training failed.')}</p>"])
    scored = [(candidate.name, candidate.evaluation)]
    body = [
        *head,
        _split_table(candidate.evaluation),
        *_per_class(scored, None),
        *_confusions(scored),
        *_calibration(scored),
        *_mistakes(candidate.name, candidate.evaluation),
    ]
    return page(title, body)


def _header(title: str, candidates: Sequence[CandidateRun], verdict: Mapping[str, Any], data: Profile) -> str:
    tags = candidates[0].tags if candidates else {}
    known = {
        "Decided": str(verdict["at"])[:16].replace("T", " ") + " UTC",
        "Compared with": "no champion yet"
        if verdict["compared_with"] == "none"
        else f"champion, version {verdict['compared_with']}",
        "Test faces": f"{verdict['rows']:,}",
        "Data digest": str(verdict["data_digest"])[:12],
        "Code": tags.get(names.GIT_COMMIT, "")[:20],
        "Pipeline run": tags.get(names.PIPELINE_RUN_ID, ""),
        "Source": str(data.source.get("csv", "")),
    }
    status = escape(str(verdict["status"]))
    return (
        f'<div class="eyebrow">Facial expression · pipeline run <span class="badge {status}">'
        f"{status}</span></div><h1>{escape(title)}</h1>{bullets(verdict['reasons'])}{facts(known)}"
    )


def _candidate_table(candidates: Sequence[CandidateRun], verdict: Mapping[str, Any]) -> str:
    status = {str(entry["run_id"]): entry for entry in verdict["candidates"]}
    head = (
        "",
        "macro-F1, validation",
        "macro-F1, test",
        "accuracy, test",
        "worst recall, test",
        "accuracy, test_clean",
        "log loss",
        "calibration error",
        "images/s",
        "verdict",
    )
    rows = []
    for candidate in candidates:
        entry = status.get(candidate.run_id, {})
        verdict_of = str(entry.get("validation_status") or ("failed" if candidate.evaluation is None else "not_gated"))
        badge = f'<span class="badge {escape(verdict_of)}">{escape(verdict_of.replace("_", " "))}</span>'
        version = f"version {entry['version']}" if entry.get("version") else "not registered"
        name = f"{escape(candidate.name)}<small>{escape(version)}</small>"
        speed = candidate.metrics.get("images_per_second", NAN)
        if candidate.evaluation is None:
            note = escape(candidate.failure or "training failed")
            rows.append([name, f'<td colspan="8" style="text-align:left" class="quiet">{note}</td>', badge])
            continue
        splits = candidate.evaluation.splits
        test = splits["test"]
        clean = splits.get("test_clean")
        rows.append(
            [
                name,
                _with_interval(splits["validation"], "macro_f1"),
                _with_interval(test, "macro_f1"),
                _with_interval(test, "accuracy"),
                f"{test.figures['worst_recall']:.3f}<small>{escape(_worst(test))}</small>",
                _with_interval(clean, "accuracy") if clean else "",
                f"{test.figures['log_loss']:.3f}",
                f"{test.figures['calibration_error']:.3f}",
                "" if math.isnan(speed) else f"{speed:,.0f}",
                badge,
            ]
        )
    champion = verdict["champion"]
    if champion is not None:
        recalls = {emotion: value for emotion, value in champion["recall"].items() if value is not None}
        worst = min(recalls, key=lambda emotion: recalls[emotion])
        rows.append(
            [
                f"{escape(str(champion['name']))}<small>version {escape(str(champion['version']))}, champion</small>",
                "",
                f"{champion['macro_f1']:.3f}",
                f"{champion['accuracy']:.3f}",
                f"{recalls[worst]:.3f}<small>{escape(worst)}</small>",
                *[""] * 4,
                '<span class="badge">champion</span>',
            ]
        )
    note = (
        "Best on validation first: that one alone is gated, so that test chooses nothing; seeds of one candidate "
        "stand together, and count by their mean. Under a figure its 95% interval (bootstrap over the faces). "
        "test_clean: the test faces whose pixels are not among the training rows."
    )
    return f'{table(head, rows)}<p class="quiet">{note}</p>'


def _split_table(evaluation: Evaluation) -> str:
    figures = {
        "accuracy": "accuracy",
        "balanced_accuracy": "balanced accuracy",
        "macro_f1": "macro-F1",
        "weighted_f1": "weighted F1",
        "worst_recall": "worst recall",
        "one_vs_rest_accuracy": "one-vs-rest accuracy",
        "log_loss": "log loss",
        "calibration_error": "calibration error",
    }
    rows = [
        [f"{split}<small>{found.rows:,} faces</small>", *(_with_interval(found, name) for name in figures)]
        for split, found in evaluation.splits.items()
    ]
    return table(["", *figures.values()], rows)


def _with_interval(found: SplitScores, name: str) -> str:
    ends = found.intervals.get(name)
    return f"{found.figures[name]:.3f}" + (f"<small>{ends.low:.3f} to {ends.high:.3f}</small>" if ends else "")


def _worst(found: SplitScores) -> str:
    recall, support = found.per_emotion["recall"], found.per_emotion["support"]
    there = [label for label in range(len(EMOTIONS)) if support[label]]
    return EMOTIONS[min(there, key=lambda label: recall[label])]


def _against_champion(verdict: Mapping[str, Any]) -> list[str]:
    """The differences that the gate looked at, with their intervals."""
    notes = bullets(verdict["notes"])
    if verdict["macro_f1"] is None:
        against = verdict["compared_with"]
        text = (
            "<p>There was no champion to compare with: the floors alone decided.</p>"
            if against == "none"
            else f"<p>The champion, version {escape(against)}, could not be scored: see the verdict.</p>"
        )
        return ["<h2>Against the champion</h2>", text, notes]
    found = {"macro-F1": verdict["macro_f1"], "accuracy": verdict["accuracy"], **verdict["recall"]}
    reach = max(0.05, *(abs(end) for each in found.values() for end in (each["low"], each["high"])))
    reach = math.ceil(reach * 20) / 20
    marks = {
        name: [Mark(each["difference"], each["low"], each["high"], 0, f"{each['difference']:+.3f}")]
        for name, each in found.items()
    }
    policy = verdict["policy"]
    rule = (
        "superiority: the interval of macro-F1 has to lie above 0"
        if policy["comparison"] == "superiority"
        else f"non-inferiority: the interval of macro-F1 may not reach below {-policy['allowed_loss']:g}"
    )
    text = (
        f"Challenger minus champion, version {verdict['compared_with']}, both scored again on the same "
        f"{verdict['rows']:,} test faces: macro-F1, accuracy, and the recall of every class. The rule is {rule}; and "
        f"no class's interval may lie wholly below {-policy['allowed_recall_loss']:g}."
    )
    return [
        "<h2>Against the champion</h2>",
        f"<p>{escape(text)}</p>",
        dot_chart(marks, -reach, reach, {}, {"zero": 0.0}),
        notes,
    ]


def _per_class(scored: Sequence[tuple[str, Evaluation]], champion: Mapping[str, Any] | None) -> list[str]:
    """Recall per class with intervals, candidates and champion in one chart; all figures per class as tables."""
    if not scored:
        return []
    tests = [found.scores for _, found in scored]
    rows: dict[str, list[Mark]] = {}
    for label, emotion in enumerate(EMOTIONS):
        rows[emotion] = [
            Mark(test.per_emotion["recall"][label], *test.intervals.get(f"recall/{emotion}", (NAN, NAN)), colour=number)
            for number, test in enumerate(tests)
        ]
        recall = champion["recall"].get(emotion) if champion else None
        if recall is not None:
            rows[emotion].append(Mark(recall, NAN, NAN, colour=len(tests)))
    shown = [name for name, _ in scored]
    if champion:
        shown.append(f"champion, version {champion['version']}, on the same faces")
    support = {emotion: f"{int(tests[0].per_emotion['support'][label]):,}" for label, emotion in enumerate(EMOTIONS)}
    tables = []
    for name, found in scored:
        test = found.scores
        cells = [
            [
                emotion,
                *(f"{test.per_emotion[figure][label]:.3f}" for figure in ("precision", "recall", "f1")),
                f"{test.per_emotion['one_vs_rest_accuracy'][label]:.3f}",
                f"{int(test.per_emotion['support'][label]):,}",
            ]
            for label, emotion in enumerate(EMOTIONS)
        ]
        head = ("", "precision", "recall", "F1", "one-vs-rest accuracy", "faces")
        tables.append(f"<div><h3>{escape(name)}</h3>{table(head, cells)}</div>")
    return [
        f"<h2>Per class, on {scored[0][1].shown}</h2>",
        "<p>Recall with its 95% interval; under the name, how many faces the class has. At 0 or 1 the interval "
        "has no width: the bootstrap cannot see what did not happen once.</p>",
        legend(shown) if len(shown) > 1 else "",
        dot_chart(rows, 0, 1, support, {}),
        f'<div class="side">{"".join(tables)}</div>',
    ]


def _confusions(scored: Sequence[tuple[str, Evaluation]]) -> list[str]:
    if not scored:
        return []
    tables = (f"<div><h3>{escape(name)}</h3>{confusion_table(found.scores.confusion)}</div>" for name, found in scored)
    return [
        "<h2>What is taken for what</h2>",
        f"<p>Faces of {scored[0][1].shown}, truth along the rows: percent of the true class.</p>",
        f'<div class="side">{"".join(tables)}</div>',
    ]


def _calibration(scored: Sequence[tuple[str, Evaluation]]) -> list[str]:
    if not scored:
        return []
    curves = [found.scores.reliability for _, found in scored]
    errors = [f"{name}, calibration error {found.scores.figures['calibration_error']:.3f}" for name, found in scored]
    return [
        "<h2>How far its probabilities can be trusted</h2>",
        "<p>Share of right answers (upwards) against the probability given to them, on "
        f"{scored[0][1].shown}. On the dashed line a model is right as often says; below it, it is surer than it "
        "should be. A disc is as large share of the faces.</p>",
        legend(errors),
        reliability_chart(curves),
    ]


def _mistakes(name: str, found: Evaluation | None) -> list[str]:
    if found is None or not found.mistakes:
        return []
    pictures = "".join(
        f'<figure><img alt="{escape(mistake.truth)}" src="data:image/png;base64,{escape(mistake.png)}">'
        f'<span class="wrong">{escape(mistake.prediction)}</span> {mistake.probability:.0%}<br>'
        f"is {escape(mistake.truth)} {mistake.of_truth:.0%}"
        f'<br><span class="quiet">row {mistake.row:,}</span></figure>'
        for mistake in found.mistakes
    )
    return [
        f"<h2>Most confident mistakes of {escape(name)}</h2>",
        f"<p>Faces of {found.shown} that it was surest about, and wrong; the row is that of the source CSV. Look here "
        "first: some are the label's mistakes.</p>",
        f'<div class="gallery">{pictures}</div>',
    ]


def _data(data: Profile) -> list[str]:
    made = [data.balance["made"][technique] for technique in data.balance.get("made", {})]
    by_balancing = {emotion: sum(of[emotion] for of in made) for emotion in EMOTIONS}
    counts = {split: data.splits[split]["per_emotion"] for split in SPLITS}
    series = {
        "train, from the source": {emotion: counts["train"][emotion] - by_balancing[emotion] for emotion in EMOTIONS},
        "train, made by balancing": by_balancing,
        "validation": counts["validation"],
        "test": counts["test"],
    }
    if not made:
        del series["train, made by balancing"]
    rows = {emotion: [of[emotion] for of in series.values()] for emotion in EMOTIONS}
    table_rows = [
        [name, f"{sum(of.values()):,}", *(f"{of[emotion]:,}" for emotion in EMOTIONS)] for name, of in series.items()
    ]
    rejected = ", ".join(f"{count:,} {reason}" for reason, count in data.rejected.items() if count)
    return [
        "<h2>Data</h2>",
        facts(
            {
                "Source": str(data.source.get("csv", "")),
                "SHA-256 of the CSV": str(data.source.get("sha256", "")),
                "Rows in it": f"{data.source.get('rows', 0):,}, faces of {data.side} x {data.side} grey pixels",
                "Rejected": rejected or "none",
            }
        ),
        legend(list(series)),
        bar_chart(rows, {}),
        table(("", "faces", *EMOTIONS), table_rows),
    ]
