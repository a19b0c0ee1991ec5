"""Watching a network learn: one live line, and TensorBoard's files where PODIUM_TENSORBOARD names a folder."""

import os
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm

from podium.training.loop import Step


class Progress:
    """Told after each batch: shows loss, metric, images per second and the time that is left for this network."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Any = None  # none before anything is learnt
        self._board: Any = None
        self._last: Step | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._last:
            self._note(self._last)
            self._bar.close()

    @property
    def has_moved(self) -> bool:
        """Return whether anything was learnt."""
        return self._last is not None

    def __call__(self, step: Step) -> None:
        """Show a step."""
        if self._last is None:  # of an earlier run, some images may have been learnt from already
            self._bar = tqdm(total=step.n_total, initial=step.n_images, desc=self._title, unit="image", disable=None)
        elif step.epoch > self._last.epoch:
            self._note(self._last)
        self._last = step
        self._bar.set_postfix(
            {"epoch": step.epoch + 1, step.metric_name: f"{step.metric:.4f}", "loss": f"{step.loss:.4f}"}, refresh=False
        )
        self._bar.update(step.n_images - self._bar.n)

    def _note(self, last: Step) -> None:
        """Tell TensorBoard of a finished epoch."""
        folder = os.environ.get("PODIUM_TENSORBOARD")
        if folder is None:
            return
        import tensorflow as tf

        if self._board is None:
            self._board = tf.summary.create_file_writer(
                str(Path(folder) / self._title.replace(" ", "_").replace("/", "_of_"))
            )
        # `tf.summary.scalar` would need the package tensorboard, which only those who look at the files need.
        values = {"loss": last.loss, last.metric_name: last.metric}
        summary = tf.compat.v1.Summary(
            value=[tf.compat.v1.Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        )
        with self._board.as_default():
            tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=last.epoch + 1)
        self._board.flush()
