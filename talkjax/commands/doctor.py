"""`talkjax doctor`: what is in a prepared set, and whether it is whole."""

import argparse
import json
from pathlib import Path
from typing import Any

from data_prep.coarse_sync import MIN_CLARITY
from data_prep.contact_sheet import ContactSheet
from data_prep.doctor import MAX_LAG_FRAMES, QUIET_DBFS, SyncQuestion, examine, summary
from talkjax.commands.critic_arguments import add_critic_arguments, sync_rules
from talkjax.data.schema import Record
from talkjax.data.source import read_index
from talkjax.data.writer import write_json
from talkjax.progress import Progress

EXIT_BROKEN = 1
MAX_LINES = 10
# The longest bar of the histogram of offsets, characters.
BAR = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", type=Path, help="folder made by `talkjax prepare`")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="write contact_sheet.png and doctor.json there",
    )
    parser.add_argument("--json", action="store_true", help="print the facts as JSON")
    add_critic_arguments(parser, can_fix=False)
    parser.description += " Exit code 1 if something is broken."


def run(args: argparse.Namespace) -> int:
    index = read_index(args.data)
    total = len(index["clips"])
    question = _question(args, index["settings"])
    sheet = ContactSheet(total)
    with Progress(total, label="doctor") as progress:

        def on_record(record: Record) -> None:
            sheet.add(record)
            progress.step()

        facts = summary(examine(args.data, on_record=on_record, question=question))
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        sheet.save(args.out / "contact_sheet.png")
        write_json(args.out / "doctor.json", facts)
    print(json.dumps(facts, indent=1, ensure_ascii=False) if args.json else _text(facts))
    if args.out is not None and not args.json:
        print(f"contact sheet and facts: {args.out}")
    return 0 if facts["ok"] else EXIT_BROKEN


def _question(args: argparse.Namespace, settings: dict[str, Any]) -> SyncQuestion | None:
    """What --critic and its rules ask for; None without them."""
    rules = sync_rules(args)
    if rules is None:
        return None
    # Imported on use: it loads nets, which nothing else here needs.
    from talkjax.commands import listening

    trained, identity = listening.find_critic(
        args.critic, crops=settings, any_critic=args.any_critic
    )
    return SyncQuestion(listening.listener(trained), rules, identity)


def _text(facts: dict[str, Any]) -> str:
    lines = [
        facts["folder"],
        f"{_count(facts['clips'], 'clip')}, {_duration(facts['seconds'])}, "
        f"{_count(facts['identities'], 'identity')}",
        "",
        *_splits(facts["splits"]),
        "",
        *_sources(facts),
        "",
        *_spreads(facts),
        "",
        _sync(facts["coarse_sync"]),
        *_heard(facts["sync"]),
        "",
    ]
    for title, entries in (("problem", facts["problems"]), ("warning", facts["warnings"])):
        lines += [f"{title}: {entry}" for entry in entries[:MAX_LINES]]
        if len(entries) > MAX_LINES:
            lines.append(f"{title}: ... and {len(entries) - MAX_LINES} more (--json)")
    lines.append("OK: every record is whole" if facts["ok"] else "BROKEN: see the problems")
    return "\n".join(lines)


def _splits(splits: dict[str, Any]) -> list[str]:
    lines = ["split   clips  seconds  identities  of these also in other splits"]
    for split, part in splits.items():
        lines.append(
            f"{split:6}  {part['clips']:5}  {part['seconds']:7.0f}  {part['identities']:10}  "
            f"{part['identities_also_in_other_splits']}"
        )
    return lines


def _sources(facts: dict[str, Any]) -> list[str]:
    if facts["rejected"] is None:
        return ["no report.json: what was rejected is not known"]
    rejected = ", ".join(f"{count} {name}" for name, count in facts["rejected"].items() if count)
    noted = facts["clips_with_notes"]
    return [
        f"rejected by `talkjax prepare`: {rejected or 'none'}",
        f"shortened or otherwise remarked on: {noted or 'none'}"
        + (" (see notes in report.json)" if noted else ""),
        f"source videos: {_values(facts['sources']['fps'], 'frames/s')}",
        f"source sound: {_values(facts['sources']['audio_rate_hz'], 'Hz')}",
    ]


def _values(histogram: dict[str, int], unit: str) -> str:
    """{"25": 349, "0": 1}, of value and videos -> "25 frames/s (349 videos), ..."."""
    return ", ".join(
        f"{f'{value} {unit}' if float(value) else 'unreadable'} ({_count(count, 'video')})"
        for value, count in histogram.items()
    )


def _spreads(facts: dict[str, Any]) -> list[str]:
    """A table: a row for each measure that there is, in its unit."""
    lines = [f"{'of the clips':42}  {'median':>8}  {'9 of 10 in':>16}  {'all in':>16}"]
    for name, title, scale, form in (
        ("clip_seconds", "length, s", 1, ".2f"),
        ("face_px", "width of the face in the source, px", 1, ".0f"),
        ("loudness_dbfs", "loudness, dBFS (0 is the loudest there is)", 1, ".1f"),
        ("quiet_fraction", f"silent frames (below {QUIET_DBFS:.0f} dBFS), %", 100, ".0f"),
    ):
        spread = facts[name]
        if spread is not None:
            keys = ("median", "low_5_percent", "high_5_percent", "least", "most")
            median, low, high, least, most = (f"{scale * spread[key]:{form}}" for key in keys)
            ranges = f"{f'{low} to {high}':>16}  {f'{least} to {most}':>16}"
            lines.append(f"{title:42}  {median:>8}  {ranges}")
    return lines


def _sync(sync: dict[str, Any] | None) -> str:
    if sync is None:
        return "lips and sound: too few clips to compare"
    lag = sync["lag_frames"]
    how = f"coarse check on {sync['clips']} clips, no trained critic; clarity {sync['clarity']:g}"
    if sync["clarity"] < MIN_CLARITY:
        return f"lips and sound: no lag is clearly best ({how}, want {MIN_CLARITY:g})"
    found = f"the {'picture' if lag > 0 else 'sound'} is {_count(abs(lag), 'frame')} late"
    if abs(lag) <= MAX_LAG_FRAMES:
        found += ", within what this check can tell"
    return f"lips and sound: {found if lag else 'in step'} ({how})"


def _heard(sync: dict[str, Any] | None) -> list[str]:
    """What a trained critic says: who it is, how many clips at which offset, the worst."""
    if sync is None:
        return []
    accuracy = sync["critic"]["validation_accuracy"]
    known = "unknown" if accuracy is None else f"{accuracy:.3f}"
    lines = [
        "",
        f"lips and sound by the critic {sync['critic']['checkpoint']} (validation accuracy "
        f"{known}): {_count(sync['measured'], 'clip')}"
        + (f"; {sync['too_short']} too short for a verdict" if sync["too_short"] else ""),
    ]
    if not sync["measured"]:
        return lines
    lines.append("offset, frames   clips   (+: the picture is late, -: the sound)")
    most = max(sync["offsets"].values())
    for offset, count in sync["offsets"].items():
        lines.append(f"{offset:>14}  {count:6}   {'#' * -(-BAR * count // most)}")
    for title, name, form in (
        ("offset with its fraction, frames", "fine_offset_frames", "+.2f"),
        ("confidence", "confidence", ".3f"),
    ):
        median, low, high, least, most = (
            f"{sync[name][key]:{form}}"
            for key in ("median", "low_5_percent", "high_5_percent", "least", "most")
        )
        lines.append(
            f"{title}: median {median}, 9 of 10 in {low} to {high}, all in {least} to {most}"
        )
    for title, names in (
        ("least confident", sync["least_confident"]),
        ("furthest apart", sync["furthest_off"]),
    ):
        lines += [f"{title}: {', '.join(_verdict(sync, name) for name in names)}"] if names else []
    return lines


def _verdict(sync: dict[str, Any], name: str) -> str:
    verdict = sync["clips"][name]
    return f"{name} ({verdict['offset_frames']:+d}, {verdict['confidence']:.3f})"


def _count(number: int, name: str) -> str:
    plural = name[:-1] + "ies" if name.endswith("y") else name + "s"
    return f"{number} {name if number == 1 else plural}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
