"""Run the commands `cyborg saliency` and `cyborg agreement`: arguments and printed results."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyborg.config.saliency import MapRecipe


def add_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the arguments of command `name` (`saliency` or `agreement`) to its parser."""
    parser.add_argument(
        "input", type=Path, metavar="INPUT", help="annotation file, or folder of files or maps"
    )
    parser.add_argument(
        "--format", default="auto", help="format of INPUT (default: recognised by content)"
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="folder of the images, needed if INPUT does not state their size",
    )
    if name == "saliency":
        parser.add_argument(
            "--out",
            type=Path,
            metavar="DIR",
            required=True,
            help="folder for the maps and summary.csv",
        )
        parser.add_argument(
            "--preview", action="store_true", help="also write preview.jpg: image, map, overlay"
        )
    else:
        parser.add_argument("--out", type=Path, metavar="FILE", help="CSV file to write")
    parser.add_argument(
        "--unit", help="unit of positions of gaze: pixels, shares or height (gaze.position_unit)"
    )
    parser.add_argument(
        "--origin",
        help="origin of positions of gaze: top_left, bottom_left, centre, centre_up (gaze.origin)",
    )
    parser.add_argument(
        "--screen",
        metavar="WIDTHxHEIGHT",
        help="size of the screen, if positions of gaze are those of a screen (gaze.screen)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse INPUT if it has parts that no map can show, instead of leaving them out",
    )
    parser.add_argument(
        "--params",
        type=Path,
        metavar="FILE",
        default=Path("params.yaml"),
        help="experiment file in which --maps is looked up (default: params.yaml)",
    )
    parser.add_argument(
        "--maps",
        metavar="NAME",
        help="use the recipe of this map set: a name under `saliency` in the experiment file",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="set a key of the recipe (see docs/params.md), such as granularity=box, blur=5 or "
        "gaze.sigma=0.5 (may be repeated)",
    )


def run_command(options: argparse.Namespace, name: str) -> None:
    """Run command `name`. Raises UserError for an error the user can fix."""
    settings = [*collect_shorthands(options), *options.settings]
    recipe = read_recipe(options.params, options.maps, settings)
    if options.format == "auto":
        options.format = recipe.format
    with warnings.catch_warnings():
        # Notes of the readers, not those of other libraries.
        warnings.filterwarnings("always", category=UserWarning, module=r"cyborg\.")
        warnings.showwarning = _print_warning  # type: ignore[assignment]
        run = _convert if name == "saliency" else _compare
        run(options, recipe)


def collect_shorthands(options: argparse.Namespace) -> list[str]:
    """Return the arguments that are short for a key of the recipe, as settings `key=value`.

    Raises UserError if the size of the screen is not two numbers.
    """
    from cyborg.common.errors import UserError

    settings = []
    if options.unit:
        settings.append(f"gaze.position_unit={options.unit}")
    if options.origin:
        settings.append(f"gaze.origin={options.origin}")
    if options.screen:
        width, _, height = options.screen.lower().replace("×", "x").partition("x")
        if not (width.strip().isdecimal() and height.strip().isdecimal()):
            raise UserError(
                f"`{options.screen}` is not a size", location="--screen", hint="example: 1920x1080"
            )
        settings.append(f"gaze.screen=[{int(width)}, {int(height)}]")
    if options.strict:
        settings.append("strict=true")
    return settings


def read_recipe(params: Path, name: str | None, settings: list[str]) -> MapRecipe:
    """Return the recipe of a map set in params.yaml, or the defaults, with settings changed.

    name: of the map set, or None. settings: `key=value` each, groups with a dot (`gaze.sigma=1`).
    Raises UserError, naming the setting, if it is unknown or out of range.
    """
    import yaml
    from pydantic import ValidationError

    from cyborg.common.errors import UserError
    from cyborg.common.registry import suggest_name
    from cyborg.common.schema import collect_mistakes
    from cyborg.config.saliency import MapRecipe

    values: dict[str, Any] = {}
    if name is not None:
        from cyborg.config.load import load_experiment

        known = load_experiment(params).saliency
        if name not in known:
            raise UserError(
                f"`{name}` is not a map set",
                location=f"{params}: saliency",
                hint=suggest_name(name, list(known)),
            )
        values = known[name].model_dump()
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UserError(f"`{setting}` is not KEY=VALUE", location="--set")
        *groups, last = key.strip().split(".")
        place = values
        for group in groups:
            inner = place.setdefault(group, {})
            if not isinstance(inner, dict):
                raise UserError(f"`{group}` has no keys inside", location=f"--set {setting}")
            place = inner
        try:
            place[last] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise UserError(f"`{text}` is not a value", location=f"--set {setting}") from None
    try:
        return MapRecipe.model_validate(values)
    except ValidationError as error:
        raise collect_mistakes(error, MapRecipe, "--set") from None


def _convert(options: argparse.Namespace, recipe: MapRecipe) -> None:
    from cyborg.saliency.convert import PREVIEW, SUMMARY, convert_annotations

    rows = convert_annotations(
        options.input, options.images, options.out, options.format, recipe, options.preview
    )
    marked = sum(row.area > 0 for row in rows)
    noun = "map" if len(rows) == 1 else "maps"
    print(f"wrote {len(rows)} {noun} to {options.out} ({len(rows) - marked} empty)")
    print(options.out / SUMMARY)
    if options.preview:
        print(options.out / PREVIEW)


def _compare(options: argparse.Namespace, recipe: MapRecipe) -> None:
    from cyborg.saliency.agreement import measure_agreement

    rows = measure_agreement(options.input, options.images, options.format, recipe, options.out)
    whole = rows[-1]
    print(f"{len(rows) - 1} images, {whole.pairs} pairs of annotators")
    print("          IoU     CC    SIM")
    print(f"pairs   {whole.iou:5.3f}  {whole.cc:5.3f}  {whole.sim:5.3f}")
    print(f"ceiling {whole.ceiling_iou:5.3f}  {whole.ceiling_cc:5.3f}  {whole.ceiling_sim:5.3f}")
    if options.out:
        print(options.out)


def _print_warning(message: Warning | str, *_: object) -> None:
    print(f"note: {message}", file=sys.stderr)
