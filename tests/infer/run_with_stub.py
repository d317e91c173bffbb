"""The command line in a process of its own, with a model that inverts colours."""

import sys
import types

from talkjax import cli
from talkjax.train import checkpoint
from tests.infer import stub


def load_stub(path, *, step):
    return stub.trained()


def main(argv) -> int:
    module = types.ModuleType("talkjax.methods.invert_colours")
    module.build = stub.build
    sys.modules[module.__name__] = module
    checkpoint.load_trained = load_stub
    return cli.main(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
