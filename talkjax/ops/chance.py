"""The warning that a judge of pairs is no better than a coin; all sync judges give it."""

from collections.abc import Mapping

# What a coin gets, and how far above it a judge must be before it is believed.
CHANCE, CHANCE_MARGIN = 0.5, 0.05
UNSEEN_REMEDY = "If it is good on its training clips, it knows them by heart: prepare more clips"
LEARNING_REMEDY = (
    "If it still is after half the steps, stop it; {}see with `talkjax doctor` whether sound and "
    "picture are in step, then try {}, or more clips"
)


def alerts_at_chance(
    values: Mapping[str, float], *, judge: str, then_try: str, first: str = ""
) -> dict[str, str | None]:
    """{where: the warning, or None where the judge is better}, of each accuracy in `values`.

    Args:
      values: of a report or a validation; `*/accuracy` is the share of same-clip pairs that are
        ranked rightly.
      judge: what it is called, with its article.
      then_try: the setting to change when it does not learn its training clips.
      first: what to do before anything else, as words that others follow.
    """
    found = {}
    for name, accuracy in values.items():
        if not name.endswith("/accuracy"):
            continue
        where, remedy = "its training clips", LEARNING_REMEDY.format(first, then_try)
        if name.startswith("eval/"):
            where, remedy = "the validation clips", UNSEEN_REMEDY
        found[where] = (
            f"{judge} is at chance on {where}: it ranks {accuracy:.1%} of same-clip pairs rightly, "
            f"a coin 50%. {remedy}"
            if accuracy < CHANCE + CHANCE_MARGIN
            else None
        )
    return found
