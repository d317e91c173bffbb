"""What a run would be, without running it: config, sizes, placements, memory."""

import json
import math

import jax

from talkjax.train import sharding
from talkjax.train.begin import abstract_state, placed_state
from talkjax.train.job import Job
from talkjax.train.loop import jit_step
from talkjax.train.step import active_phases


def describe(job: Job) -> str:
    """The text of `--dry-run`. Compiles the step with every phase active; computes nothing."""
    state = abstract_state(job)
    rows = sharding.sharding_table(state, job.sharding_rules, job.mesh)
    parts = [
        "config\n" + json.dumps(job.config, indent=2, sort_keys=True),
        "parameters\n" + parameter_counts(state.params, "trained"),
    ]
    if job.experts:
        experts = {name: expert["params"] for name, expert in job.experts.items()}
        parts.append(parameter_counts(experts, "frozen"))
    mesh = ", ".join(f"{axis}={size}" for axis, size in job.mesh.shape.items())
    parts.append(f"mesh {mesh} of {jax.devices()[0].device_kind}")
    parts.append("batch\n" + _batch_table(job))
    parts.append("placements\n" + sharding_text(rows))
    parts.append("memory per device\n" + _memory(job))
    return "\n\n".join(parts)


def parameter_counts(nets, kind: str) -> str:
    """One line per net."""
    counts = {
        net: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
        for net, tree in nets.items()
    }
    return "\n".join(f"  {net:24}{count:>14,} {kind}" for net, count in counts.items())


def sharding_text(rows: list[sharding.Row]) -> str:
    """The table path, shape, type, spec, rule."""
    width = max(len(row.path) for row in rows)
    return "\n".join(
        f"  {row.path:{width}}  {row.dtype}{list(row.shape)}  {tuple(row.spec)}  {row.rule!r}"
        for row in rows
    )


def _batch_table(job: Job) -> str:
    return "\n".join(
        f"  {name:24}{spec.dtype}{list(spec.shape)}" for name, spec in job.element_spec.items()
    )


def _memory(job: Job) -> str:
    whole, batch_place = sharding.replicated(job.mesh), sharding.batch_sharding(job.mesh)

    def placed(tree, place):
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), tree
        )

    state, shardings = placed_state(job)
    key = jax.eval_shape(lambda: jax.random.key(0))
    compiled = (
        jit_step(job, shardings)
        .lower(
            state,
            placed(dict(job.element_spec), batch_place),
            placed(dict(job.experts), whole),
            placed(key, whole),
            active_phases=active_phases(job.method, 0),
        )
        .compile()
    )
    sizes_mb = memory_mb(compiled)
    return "\n".join(f"  {name:24}{size:>12,.1f} MB" for name, size in sizes_mb.items())


def memory_mb(compiled: jax.stages.Compiled) -> dict[str, float]:
    """What a compiled program needs on each device, by kind, and "together"."""
    found = compiled.memory_analysis()
    sizes = {
        "arguments": found.argument_size_in_bytes,
        "temporary": found.temp_size_in_bytes,
        "output, not donated": found.output_size_in_bytes - found.alias_size_in_bytes,
        "program": found.generated_code_size_in_bytes,
    }
    sizes["together"] = sum(sizes.values())
    return {name: size / 1e6 for name, size in sizes.items()}
