"""Does a judge order models as the known lips do? Spearman of its scores and the lip errors.

Give the reports (`talkjax evaluate --judge --syncnet --lip-reader --out REPORT`, one of the
three or more) of models of different quality on one labelled data set (`talkjax synth`). Every
model is a point: its scores, and how far the lips read off its pictures are from the known ones.
Two further points are the same in all reports and are taken from the first: the true frames, and
a still lower half.
"""

import argparse
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from talkjax.errors import UserError
from talkjax.evals.lip_reading import ALL_WORDS

# The judge of a score, by its name in the report's protocol: a critic of the training is none.
JUDGE_OF = {"sync": "judge", "lse": "syncnet", "words": "lip_reader"}
# A judge of a report -> the flag of `talkjax evaluate` that it comes from.
FLAGS = {"judge": "--judge", "syncnet": "--syncnet", "lip_reader": "--lip-reader"}
# The share of words that a lip reader reads; of its summary, not of the rows.
WORDS_READ = "words_read"
# score -> 1 where more of it claims better sync, -1 where less does.
SCORES = {
    "sync_confidence": 1,
    "sync_distance": -1,
    "sync_distance_unshifted": -1,
    "lse_c": 1,
    "lse_d": -1,
    "lse_d_unshifted": -1,
    WORDS_READ: 1,
}
ERRORS = {
    "label_opening_error": "mean absolute error of the lip opening, in eye distances",
    "one_less_correlation": "1 - correlation of the lip opening, each clip's mean removed",
}
SHARED_ROWS = ("ground_truth", "still_hidden")
FEWEST_MODELS = 5
DEFINITIONS = {
    "spearman": "rank correlation over the points of score (its sign turned where less is better) "
    "and error: -1 is the same order throughout; null where all scores are equal",
    "models": "the row `generated` of each report alone",
    "with_ends": "with the true frames (best) and a still lower half (worst)",
    "left_out": "scores that some reports have and others do not: the reports without them",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reports", nargs="+", help="report folders, one for each model")
    parser.add_argument("--picture", help="draw scores over errors into this PNG")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Spearman of every score that all reports have, and the points themselves."""
    reports = {path: _read(pathlib.Path(path)) for path in args.reports}
    if len(reports) < FEWEST_MODELS:
        raise UserError(
            f"reports: got {len(reports)}, want {FEWEST_MODELS} or more models of different quality"
        )
    _same_clips(reports)
    points = {path: _point(report, "generated", path) for path, report in reports.items()}
    first = next(iter(reports.values()))
    ends = {row: _point(first, row, row) for row in SHARED_ROWS}
    missing = {
        name: [path for path, point in (points | ends).items() if name not in point]
        for name in SCORES
    }
    scores = [name for name, without in missing.items() if not without]
    if not scores:
        raise UserError(
            "reports: no score is in all; run `talkjax evaluate` with the same --judge, --syncnet "
            "or --lip-reader for each"
        )
    result = {
        "definitions": DEFINITIONS | ERRORS,
        "judges": _judges(reports, scores),
        "models": {path: _model(report) for path, report in reports.items()},
        "left_out": {
            name: without
            for name, without in missing.items()
            if 0 < len(without) < len(points | ends)
        },
        "points": points | ends,
        "spearman": {
            which: {error: _ordered(chosen, scores, error) for error in ERRORS}
            for which, chosen in (("models", points), ("with_ends", points | ends))
        },
    }
    if args.picture:
        _draw(pathlib.Path(args.picture), points, ends, scores)
    return result


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Rank correlation; equal values share their mean rank. None where all of one are equal."""
    ranks = [_ranks(np.asarray(values, np.float64)) for values in (x, y)]
    if any(np.ptp(one) == 0 for one in ranks):
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.array([(np.sum(values < v) + np.sum(values <= v) - 1) / 2 for v in values])


def _ordered(points: Mapping[str, Mapping[str, float]], scores: Sequence[str], error: str) -> dict:
    errors = [point[error] for point in points.values()]
    return {
        score: spearman([SCORES[score] * point[score] for point in points.values()], errors)
        for score in scores
    }


def _read(folder: pathlib.Path) -> dict[str, Any]:
    path = folder / "metrics.json"
    if not path.is_file():
        raise UserError(f"{path}: not there; make it with `talkjax evaluate --out {folder}`")
    return json.loads(path.read_text())


def _same_clips(reports: Mapping[str, dict[str, Any]]) -> None:
    clips = {path: sorted(report["clips"]) for path, report in reports.items()}
    first = next(iter(clips))
    for path, found in clips.items():
        if found != clips[first]:
            raise UserError(f"{path}: other clips than {first}; evaluate all on the same data")


def _point(report: Mapping[str, Any], of: str, name: str) -> dict[str, float]:
    """Scores and lip errors of a row of a report."""
    row = report["rows"][of]
    if "label_opening_error" not in row:
        raise UserError(f"{name}: no label_opening_error; the clips need labels (`talkjax synth`)")
    means = {score: row[score]["mean"] for score in SCORES if row.get(score)}
    read = report.get("lip_reading", {}).get("accuracy", {}).get(of)
    means |= {} if read is None else {WORDS_READ: read[ALL_WORDS]["mean"]}
    return means | {
        "label_opening_error": row["label_opening_error"]["mean"],
        "one_less_correlation": 1 - row["label_opening_correlation_centred"]["mean"],
    }


def _judges(
    reports: Mapping[str, dict[str, Any]], scores: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Who gave the scores; the same in all reports, or the scores could not be compared."""
    judges = {}
    for name in sorted({JUDGE_OF[score.split("_")[0]] for score in scores}):
        who = {path: report["protocol"][name] for path, report in reports.items()}
        first = next(iter(who))
        for path, judge in who.items():
            if judge["weights_sha256"] != who[first]["weights_sha256"]:
                raise UserError(
                    f"{path}: another {name} than {first}; evaluate all with the same {FLAGS[name]}"
                )
        judges[name] = who[first]
    return judges


def _model(report: Mapping[str, Any]) -> dict[str, Any]:
    return {key: report["protocol"][key] for key in ("checkpoint", "step", "weights_sha256")}


def _draw(
    path: pathlib.Path,
    points: Mapping[str, Mapping[str, float]],
    ends: Mapping[str, Mapping[str, float]],
    scores: Sequence[str],
) -> None:
    """One panel for each score and error; written as a whole or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6 * len(scores), 2.6 * len(ERRORS)), layout="constrained")
    panels = figure.subplots(len(ERRORS), len(scores), squeeze=False)
    for line, error in zip(panels, ERRORS, strict=True):
        for panel, score in zip(line, scores, strict=True):
            for chosen, colour, label in ((points, "C0", "models"), (ends, "C3", "truth, still")):
                x = [point[error] for point in chosen.values()]
                panel.scatter(x, [p[score] for p in chosen.values()], s=14, c=colour, label=label)
            panel.set_xlabel(error, fontsize=7)
            panel.set_ylabel(score, fontsize=7)
            panel.tick_params(labelsize=6)
    panels[0, 0].legend(fontsize=6)
    FigureCanvasAgg(figure)
    partial = path.with_name(f".{path.name}.partial")
    figure.savefig(partial, format="png", dpi=130)
    partial.replace(path)
