"""What a run must reach in the end, or fail: `config.run.required`."""

from collections.abc import Callable, Mapping

from talkjax.errors import UserError


class RequirementMissed(Exception):
    """The run reached its end, and its last validation is below what the config requires."""


def parse_required(required: str) -> tuple[str, float] | None:
    """ "accuracy>=0.9" -> ("accuracy", 0.9); "" -> None.

    Raises:
      UserError: if it is neither.
    """
    if not required:
        return None
    name, _, least = required.partition(">=")
    try:
        return name.strip(), float(least)
    except ValueError as error:
        raise UserError(
            f'config.run.required: got {required!r}, want "<score>>=<number>" or ""'
        ) from error


def check_required(
    required: str,
    scores: Mapping[str, float],
    *,
    told: Mapping[str, float],
    causes: Callable[[Mapping[str, float]], str] | None,
) -> str:
    """What to say of a run at its end, "" where nothing is required.

    Args:
      scores: the last validation.
      told: the last value of everything that was logged.
      causes: why the run may have missed it, from `told`.

    Raises:
      RequirementMissed: saying by how much, and the likely causes.
      UserError: if validation has no such score.
    """
    wanted = parse_required(required)
    if wanted is None:
        return ""
    name, least = wanted
    if name not in scores:
        raise UserError(
            f"config.run.required names {name!r}, the last validation gives {sorted(scores)}"
        )
    if scores[name] >= least:
        return f"PASS: {name} is {scores[name]:.4g}, at least {least:g} was required"
    reasons = f": {causes(told)}" if causes else ""
    raise RequirementMissed(
        f"FAIL: {name} is {scores[name]:.4g}, at least {least:g} was required "
        f"(config.run.required){reasons}"
    )
