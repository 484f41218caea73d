"""Run the `cyborg` command: the stages of dvc.yaml and the tools around them are subcommands."""

from __future__ import annotations

import argparse
import importlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cyborg.common.errors import UserError
from cyborg.common.packages import explain_missing_package

if TYPE_CHECKING:
    from cyborg.config.experiment import Experiment

Action = Callable[[argparse.Namespace], None]
"""Runs a subcommand with its parsed options."""

# For each stage, the module whose function of the same name runs it, and its help. Modules are
# imported when they are needed, so that `cyborg --help` answers at once.
STAGES = {
    "download": ("cyborg.download.download", "fetch, draw or find the images, and index them"),
    "rasterize": ("cyborg.saliency.rasterize", "turn annotations into one saliency map per image"),
    "split": ("cyborg.split.split", "assign images to training, validation and test"),
    "check": ("cyborg.check.check", "audit the data, and stop if a test image is trained on"),
    "pack": ("cyborg.pack.pack", "decode and resize all images and maps once"),
    "plan": ("cyborg.grid.plan", "write one specification per cell"),
    "report": ("cyborg.results.report", "write tables, statistics, figures and report.html"),
}
GRIDS = {
    "train": "train every planned cell that is not finished",
    "evaluate": "score the test images with every trained cell that has no scores yet",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand and return its exit code.

    The code is 0 for success, 2 for an error the user can fix, and 130 for an interruption.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    accept_all_letters()
    parser = create_parser(arguments)
    options = parser.parse_args(arguments)
    try:
        if options.version:
            print(f"cyborg {find_version()}")
        elif "run" in options:
            options.run(options)
        else:
            parser.print_help()
    except UserError as error:
        print(error.text(), file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "cyborg":
            raise
        print(explain_missing_package(error).text(), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted. Run the same command again to continue from here", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `cyborg show | head`
        return 0
    return 0


def accept_all_letters() -> None:
    """Print `?` for letters that the encoding of the output lacks, instead of failing on them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def find_version() -> str:
    """Return the version of the installed package, or `unknown` if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("cyborg-saliency")
    except PackageNotFoundError:
        return "unknown"


def create_parser(arguments: list[str]) -> argparse.ArgumentParser:
    """Return the parser of all subcommands. Those in `arguments` have all of their options."""
    parser = argparse.ArgumentParser(
        prog="cyborg",
        description="Train image classifiers with human saliency, reproducibly. "
        "`dvc repro` runs all stages. You can also run each stage as a subcommand.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def add(name: str, summary: str, run: Action) -> argparse.ArgumentParser:
        description = f"{summary[0].upper()}{summary[1:]}."
        command = commands.add_parser(name, help=summary, description=description)
        command.set_defaults(run=run)
        return command

    for name, (module, summary) in STAGES.items():
        stage = add(name, summary, make_stage_action(name, module))
        add_params_option(stage)
        if name == "download":
            stage.add_argument(
                "--only",
                nargs="+",
                metavar="NAME",
                help="fetch or draw only these sources of the catalogue, even if params.yaml does "
                "not use them",
            )
    for name, summary in GRIDS.items():
        grid = add(name, summary, make_grid_action(name))
        grid.add_argument("--spec", type=Path, help="run only the cell of this specification file")
    cell = add("cell", "run one cell from its specification file", run_one_cell)
    cell.add_argument("spec", type=Path, help="specification file, in the folder plan/")
    params = add("params", "check params.yaml and print it with all defaults", print_params)
    params.add_argument("--describe", action="store_true", help="describe every key instead")
    add_params_option(params)
    sources = add("sources", "list the data sets and their state on this machine", print_sources)
    add_params_option(sources)
    add("repair", "remove what a killed run left in the way of `dvc repro`", repair_files)
    add("show", "print the AUC table of the last report", print_auc_table)
    power = add(
        "power", "estimate the runs and images needed to detect a difference in AUC", print_power
    )
    power.add_argument(
        "--difference", type=float, default=0.05, help="true difference to detect (default: 0.05)"
    )
    checkpoint = add("import-checkpoint", "convert a published checkpoint", convert_checkpoint)
    checkpoint.add_argument(
        "checkpoint", type=Path, help="file that torch.save wrote, with the key `state_dict`"
    )
    checkpoint.add_argument("--architecture", required=True, help="network of the checkpoint")
    checkpoint.add_argument("--out", type=Path, required=True, help=".safetensors file to write")
    for name, summary in (
        ("saliency", "convert any annotation export to saliency maps"),
        ("agreement", "measure how well annotators agree"),
    ):
        command = add(name, summary, make_saliency_action(name))
        if name in arguments:  # other commands need not wait for its imports
            from cyborg.saliency import commands as saliency_commands

            saliency_commands.add_arguments(command, name)
    return parser


def add_params_option(command: argparse.ArgumentParser) -> None:
    """Add the option that names the experiment file."""
    command.add_argument(
        "--params",
        type=Path,
        default=Path("params.yaml"),
        help="experiment file (default: params.yaml)",
    )


def make_stage_action(name: str, module: str) -> Action:
    """Return the action that runs a stage on the experiment of --params."""

    def run_stage(options: argparse.Namespace) -> None:
        from cyborg.config.load import load_experiment

        experiment = load_experiment(options.params)
        further = {"only": options.only} if "only" in options else {}
        getattr(importlib.import_module(module), name)(experiment, **further)

    return run_stage


def make_grid_action(kind: str) -> Action:
    """Return the action that runs all planned cells of a kind, or the one of --spec."""

    def run_cells(options: argparse.Namespace) -> None:
        if options.spec:
            run_one_cell(options)
            return
        from cyborg.grid.run import run_grid

        print(run_grid(kind))

    return run_cells


def run_one_cell(options: argparse.Namespace) -> None:
    """Run the cell of a specification and print its folder."""
    from cyborg.grid.run_cell import run_cell

    print(run_cell(options.spec))


def print_params(options: argparse.Namespace) -> None:
    """Print an experiment with all defaults, or the description of every key."""
    if options.describe:
        from cyborg.reference.members import describe_all_keys

        print(describe_all_keys(), end="")
        return
    import yaml

    from cyborg.config.load import load_experiment

    experiment = load_experiment(options.params)
    check_before_data(experiment, options.params)
    values = experiment.model_dump(mode="json")
    print(yaml.safe_dump(values, sort_keys=False), end="")


def check_before_data(experiment: Experiment, path: Path) -> None:
    """Check all that can be known before data is touched, besides the file of the experiment.

    These are the keys that dvc.yaml depends on, the rows of the catalogue and the names of the
    networks. timm, which takes seconds, is imported only for names that this project does not know.
    Raises UserErrors with all mistakes.
    """
    from cyborg.catalogue.sources import find_used_sources
    from cyborg.common.errors import UserErrors
    from cyborg.config.load import find_missing_keys
    from cyborg.config.parameter_file import ParameterFile
    from cyborg.models.architectures import find_network

    file = ParameterFile.read(path)
    found = list(find_missing_keys(file, Path("dvc.yaml")))
    for name, row in experiment.architectures.items():
        try:
            find_network(row.network or name)
        except UserError as error:
            location = error.location or file.locate("architectures", name)
            found.append(UserError(error.what, location=location, hint=error.hint))
    try:
        find_used_sources(experiment)
    except UserErrors as error:
        found += error.mistakes
    except UserError as error:
        found.append(error)
    if found:
        raise UserErrors(found)


def print_sources(options: argparse.Namespace) -> None:
    """Print the data sets of the catalogue and their state."""
    from cyborg.catalogue.listing import format_listing
    from cyborg.config.load import load_experiment

    print(format_listing(load_experiment(options.params), Path()))


def repair_files(options: argparse.Namespace) -> None:
    """Repair the files of DVC that block a run, and print what was done."""
    from cyborg.common.packages import check_packages
    from cyborg.grid.repair import repair_project

    check_packages("dvc")
    for sentence in repair_project():
        print(f"repair: {sentence}", file=sys.stderr)


def print_auc_table(options: argparse.Namespace) -> None:
    """Print the AUC table of the last report."""
    from cyborg.results.tables import read_auc_table

    print(read_auc_table(Path()))


def print_power(options: argparse.Namespace) -> None:
    """Print the runs and images that a difference needs, from the spread of the last report."""
    from cyborg.results.planning import describe_power

    print(describe_power(Path(), options.difference))


def convert_checkpoint(options: argparse.Namespace) -> None:
    """Convert a published checkpoint and print the path of the result."""
    from cyborg.models.published_checkpoint import import_checkpoint

    import_checkpoint(options.checkpoint, options.architecture, options.out)
    print(options.out)


def make_saliency_action(name: str) -> Action:
    """Return the action of the command `saliency` or `agreement`."""

    def run_command(options: argparse.Namespace) -> None:
        from cyborg.saliency import commands

        commands.run_command(options, name)

    return run_command
