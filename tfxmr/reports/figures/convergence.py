"""Convergence curves: each player's losses, and mAP where it was measured, against training steps."""
import functools
import os
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfxmr.core.errors import InputError
from tfxmr.engine.logs import SHOWN
from tfxmr.reports.figures import events, style
from tfxmr.reports.figures.events import Curve

EARLY = 0.2  # of a panel's last step; panels that begin before it begin at step 0
MARKS = 30  # on a line at most, about
NO_LOSS = ("gradient_norm", "learning_rate")


@style.styled
def draw(
    run_dir: str | os.PathLike, title: str, chance: Mapping[str, float] | None = None,
    step_label: str = "training step", show_test: bool = False, kept: int | None = None,
) -> dict[str, Figure]:
    """Draws the losses of a run, one panel a player, and its mAP, as figure 5 of Wu et al., Pattern Recognition 2020.

    A player with several losses has a line for each, weighted as it is minimised, and one, thick, for their sum; what a
    method shows beside its losses has a panel of its own.

    Args:
      run_dir: the run's folder, with TensorBoard event files.
      title: of the figure.
      chance: class group ("seen", ...) -> mAP of a random ranking, drawn as a line; None draws none.
      step_label: of the x axes; says what a step is.
      show_test: True draws mAP on test items, too, where it was measured.
      kept: step whose weights were kept, drawn as a line beside mAP; None draws none.

    Returns:
      {"convergence": Figure}.

    Raises:
      InputError: there are no event files, or nothing in them that is drawn.
    """
    found = events.read(run_dir)
    players: dict[str, dict[str, Curve]] = {}
    measured: dict[str, Curve] = {}
    left_out = False
    for tag, curve in found.curves.items():
        group, _, name = tag.partition("/")
        if group.endswith("_mAP"):
            split, task = group.removesuffix("_mAP"), name.removeprefix("all ").replace(" to ", " → ")
            left_out |= split == "test" and not show_test
            if split != "test" or show_test:
                measured[f"{split} items, {task}"] = curve
        elif name and name not in NO_LOSS:
            said = name.replace("_", " ") if name.islower() else name  # D_FI is a symbol
            players.setdefault(group, {})[found.names.get(name, said)] = curve
    if not players and not measured:
        raise InputError(
            f"--run_dir={run_dir}: " + ("has mAP on test items alone; --show_test draws it" if left_out
                                        else "has no losses and no mAP in its event files")
        )
    figure, axes = style.panels(len(players) + bool(measured), title, wide_last=bool(measured))
    for panel, (player, losses) in zip(axes, players.items(), strict=False):
        _losses(panel, player, losses, alone=len(players.keys() - {SHOWN}) == 1)
    if measured:
        _map(axes[-1], measured, chance or {}, kept)
    for panel in axes:
        panel.set_xlabel(step_label)
        low, high = panel.dataLim.intervalx
        if low < EARLY * high:  # a later stage's panel begins with it
            panel.set_xlim(left=0)
    return {"convergence": figure}


def _losses(panel: Axes, player: str, losses: Mapping[str, Curve], alone: bool) -> None:
    if len(losses) > 1 and player != SHOWN:
        # A kill may have cut the last step short.
        common = functools.reduce(np.intersect1d, [steps for steps, _ in losses.values()])
        total = sum(values[np.isin(steps, common)] for steps, values in losses.values())
        panel.plot(common, total, label="sum", color="black", linewidth=1.8)
    for i, (name, (steps, values)) in enumerate(losses.items()):
        panel.plot(steps, values, label=name, **style.line_style(i))
    of_player = "" if alone else f" of {player}"
    panel.set_ylabel("shown beside, no loss" if player == SHOWN else f"loss{of_player}, weighted")
    style.legend_above(panel)


def _map(panel: Axes, measured: Mapping[str, Curve], chance: Mapping[str, float], kept: int | None) -> None:
    for i, (name, (steps, values)) in enumerate(measured.items()):
        marker = style.MARKERS[i % len(style.MARKERS)]
        panel.plot(steps, values, label=name, marker=marker, markevery=1 + len(steps) // MARKS, **style.line_style(i))
    for i, value in enumerate(chance.values()):
        said = ", ".join(f"{value:.3f}" + (f" {group}" if group != "all" else "") for group, value in chance.items())
        panel.axhline(value, label="" if i else f"chance {said}", **style.CHANCE)
    if kept is not None:
        panel.axvline(kept, label=f"weights kept: step {kept}", color="0.45", linewidth=0.9)
    panel.set_ylabel("mAP (0 to 1)")
    panel.set_ylim(bottom=0)
    style.legend_above(panel)
