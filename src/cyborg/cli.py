"""The `cyborg` command: every stage of dvc.yaml is a subcommand, and so are the tools around it."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cyborg.common.errors import UserError
from cyborg.common.packages import explain_missing_package

# Stage: module whose function of the same name runs it, and one sentence. Nothing is imported
# before it is needed: `cyborg --help` answers at once.
STAGES = {
    "download": ("cyborg.download.download", "fetch, draw or find the images; index them"),
    "rasterize": ("cyborg.saliency.rasterize", "turn annotations into one saliency map per image"),
    "split": ("cyborg.split.split", "assign images to training, validation and test"),
    "check": ("cyborg.check.check", "audit leaks, broken files and confounds; stop where needed"),
    "pack": ("cyborg.pack.pack", "decode and resize once into memory-mapped arrays"),
    "plan": ("cyborg.grid.plan", "write one specification per cell"),
    "report": ("cyborg.results.report", "tables, statistics, figures, report.html"),
}
GRIDS = {
    "train": "train every planned cell that is not finished (or one, with --spec)",
    "evaluate": "score every planned cell that is not scored (or one, with --spec)",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand; return its exit code: 0, or 2 for a mistake the user can mend."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser(arguments).parse_args(arguments)
    try:
        options.run(options)
    except UserError as error:
        print(error.text(), file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "cyborg":
            raise
        print(explain_missing_package(error).text(), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, e.g. `cyborg show | head`
        return 0
    return 0


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cyborg",
        description="Train image classifiers with human saliency, reproducibly. "
        "`dvc repro` runs all stages; each is a subcommand.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, text: str, run: Callable[[Any], None]) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.set_defaults(run=run)
        return command

    for name, (module, text) in STAGES.items():
        stage = add(name, text, _stage(name, module))
        _params(stage)
        if name == "download":
            stage.add_argument(
                "--only",
                nargs="+",
                metavar="NAME",
                help="fetch or draw these sources of the catalogue, in use or not; index nothing",
            )
    for name, text in GRIDS.items():
        grid = add(name, text, _grid(name))
        grid.add_argument("--spec", type=Path, help="run this one cell by hand")
    add("cell", "run the cell of a specification file", _cell).add_argument("spec", type=Path)
    shown = add("params", "check params.yaml and print it with all defaults", _show_params)
    shown.add_argument("--describe", action="store_true", help="describe every key instead")
    _params(shown)
    _params(add("sources", "list the data sets and their state on this machine", _sources))
    add("show", "print the AUC table of the last report", _show)
    imported = add("import-checkpoint", "convert a published checkpoint", _import_checkpoint)
    imported.add_argument("checkpoint", type=Path, help="file of {'state_dict': ...}")
    imported.add_argument("--architecture", required=True, help="network of the checkpoint")
    imported.add_argument("--out", type=Path, required=True, help=".safetensors file to write")
    for name, text in (
        ("saliency", "convert any annotation export to saliency maps"),
        ("agreement", "measure how far annotators agree"),
    ):
        command = add(name, text, _saliency(name))
        if name in arguments:  # other commands need not wait for its imports
            _late(command, name)
    return parser


def _params(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--params",
        type=Path,
        default=Path("params.yaml"),
        help="experiment file (default: params.yaml)",
    )


def _stage(name: str, module: str) -> Callable[[Any], None]:
    def run(options: Any) -> None:
        from cyborg.config.load import load_experiment

        experiment = load_experiment(options.params)
        chosen = {"only": options.only} if "only" in options else {}
        getattr(importlib.import_module(module), name)(experiment, **chosen)

    return run


def _grid(kind: str) -> Callable[[Any], None]:
    def run(options: Any) -> None:
        if options.spec:
            _cell(options)
            return
        from cyborg.grid.run import run_grid

        print(run_grid(kind))

    return run


def _cell(options: Any) -> None:
    from cyborg.grid.cell import run_cell

    print(run_cell(options.spec))


def _show_params(options: Any) -> None:
    if options.describe:
        from cyborg.reference.members import describe_all_keys

        print(describe_all_keys(), end="")
        return
    import yaml

    from cyborg.config.load import load_experiment

    print(
        yaml.safe_dump(load_experiment(options.params).model_dump(mode="json"), sort_keys=False),
        end="",
    )


def _sources(options: Any) -> None:
    from cyborg.catalogue.listing import format_listing
    from cyborg.config.load import load_experiment

    print(format_listing(load_experiment(options.params), Path()))


def _show(options: Any) -> None:
    from cyborg.results.tables import read_auc_table

    print(read_auc_table(Path()))


def _import_checkpoint(options: Any) -> None:
    from cyborg.models.published_checkpoint import import_checkpoint

    import_checkpoint(options.checkpoint, options.architecture, options.out)
    print(options.out)


def _late(command: argparse.ArgumentParser, name: str) -> None:
    from cyborg.saliency import commands

    commands.add_arguments(command, name)


def _saliency(name: str) -> Callable[[Any], None]:
    def run(options: Any) -> None:
        from cyborg.saliency import commands

        commands.run_command(options, name)

    return run
