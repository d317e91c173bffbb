"""Starts the README's training command through XManager (xm_local, Vertex AI).

xmanager launch launch/xmanager.py -- --config=configs/synctalkface_grid.py --workdir=/shared/a

Needs `pip install xmanager`, which TalkJAX itself does not use.
"""

from absl import app, flags
from xmanager import xm, xm_local

_CONFIG = flags.DEFINE_string("config", None, "FILE[:variant]", required=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run", required=True)


def main(_) -> None:
    with xm_local.create_experiment(experiment_title="talkjax") as experiment:
        command = ["pip install -e .[cuda]", 'talkjax train "$@"']
        spec = xm.PythonContainer(
            path=".", entrypoint=xm.CommandList(command), base_image="python:3.11"
        )
        executor = xm_local.Vertex(requirements=xm.JobRequirements(a100=1))
        [executable] = experiment.package([xm.Packageable(spec, executor.Spec())])
        args = {"config": _CONFIG.value, "workdir": _WORKDIR.value}
        experiment.add(xm.Job(executable=executable, executor=executor, args=args))


if __name__ == "__main__":
    app.run(main)
