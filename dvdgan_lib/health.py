"""Training that watches itself: what ends a run, what only warns, and the page that a stopped run leaves.

Rules, on what `metrics.jsonl` gets (every `log_every` steps) and on the sample sheets:

- *Not a number*: a loss, score, gradient norm or singular value that is not finite. Ends the run.
- *Loss without bound*: |d_loss| or |g_loss| above 10,000. Hinge losses of a healthy run stay within tens. Ends it.
- *Weights without bound*: a weight whose largest singular value is above 10,000. They start at 1 (orthogonal) and grow
  slowly, spectral norm making their size without effect; BigGAN saw them explode where training collapsed. Ends it.
- *Gradients without bound*: a gradient norm above 10,000 times its median over the last 100 lines, three lines running.
  Ends it.
- *Collapse*: the samples of five sheets running, of different latents and classes, differ from each other by less than a
  tenth of what real clips do. Warns, once: a run may come back, and a sheet can't show a collapse within a class.

A run that is ended saves nothing more: its last checkpoint is from a step whose numbers were still sound.
"""

from __future__ import annotations

import collections
import json
import math
import statistics
from collections.abc import Mapping

import numpy as np
from etils import epath

from dvdgan_lib.atomic_files import write_atomically

LARGEST_LOSS = 1e4
LARGEST_SINGULAR_VALUE = 1e4
GRADIENT_FACTOR, GRADIENT_MEMORY, GRADIENT_LINES = 1e4, 100, 3
COLLAPSE_RATIO, COLLAPSE_SHEETS = 0.1, 5


class TrainingDivergedError(RuntimeError):
    """Training that went wrong for good, by one of this module's rules; one sentence."""


class Health:
    """The rules, and what they must remember of a run."""

    def __init__(self):
        """Remembers nothing yet; a resumed run begins anew."""
        self._gradients: dict[str, collections.deque[float]] = {}
        self._above: collections.Counter[str] = collections.Counter()
        self._alike = 0

    def check(self, metrics: Mapping[str, float]) -> str | None:
        """The rule that a step's metrics break, as the end of a sentence; None where all is well."""
        wrong = {name: value for name, value in metrics.items() if not math.isfinite(value)}
        if wrong:
            loss = next(iter(wrong))
            return f"{loss} is not a number ({', '.join(f'{name}: {value}' for name, value in wrong.items())})"
        for name in ("d_loss", "g_loss"):
            if abs(metrics.get(name, 0.0)) > LARGEST_LOSS:
                return f"{name} is without bound ({metrics[name]:.4g}, beyond {LARGEST_LOSS:g})"
        for name in ("d_singular_value", "g_singular_value"):
            if metrics.get(name, 0.0) > LARGEST_SINGULAR_VALUE:
                return (
                    f"the weights are without bound ({name}, the largest of a weight, is {metrics[name]:.4g}, "
                    f"beyond {LARGEST_SINGULAR_VALUE:g})"
                )
        for name in ("d_gradient_norm", "g_gradient_norm"):
            if name in metrics and (broken := self._gradient(name, metrics[name])):
                return broken
        return None

    def _gradient(self, name: str, value: float) -> str | None:
        before = self._gradients.setdefault(name, collections.deque(maxlen=GRADIENT_MEMORY))
        usual = statistics.median(before) if len(before) >= 10 else math.inf
        if value <= GRADIENT_FACTOR * max(usual, 1e-6):
            before.append(value)
            self._above[name] = 0
            return None
        self._above[name] += 1
        if self._above[name] < GRADIENT_LINES:
            return None
        return f"the gradient is without bound ({name} is {value:.4g}, and {usual:.4g} was usual)"

    def check_diversity(self, ratio: float) -> str | None:
        """A warning where the sheets have shown samples that are nearly the same for long; said once.

        ratio: from `diversity`.
        """
        self._alike = self._alike + 1 if ratio < COLLAPSE_RATIO else 0
        if self._alike != COLLAPSE_SHEETS:
            return None
        return (
            f"Samples have been nearly the same on {COLLAPSE_SHEETS} sheets running (they differ by {ratio:.1%} of what "
            "real clips do): G has collapsed, and D should be weaker or slower, or training go on from an earlier model."
        )


def diversity(samples: np.ndarray, real: np.ndarray) -> float:
    """How much samples differ from each other beside real clips: 1 as much, 0 not at all.

    Args:
      samples: uint8 [N, T, H, W, 3], of different latents.
      real: uint8 [N, T, H, W, 3], as many.

    Returns:
      The standard deviation over N of each pixel, averaged: the ratio of the two.
    """
    spread = lambda videos: float(videos.astype(np.float32).std(0).mean())  # noqa: E731
    return spread(samples) / max(spread(real), 1e-6)


PAGE = """# Training stopped

{sentence}

## The rule

{rule}. All rules are in `dvdgan_lib/health.py`.

## What was logged last

Step {step}, which was not saved:

```
{now}
```

Before:

```
{before}
```

## What to try

* The same command goes on from {kept}. On the same number of devices it computes the same numbers, and will stop here
  again: change something first. With another configuration it wants another `--workdir`.
* Rates: halve `d_learning_rate`, then `g_learning_rate`. Adam's `epsilon` larger (1e-6) where gradients vanish.
* D has won where its accuracies are 1 and `g_loss` grows; G's gradient has nothing to follow. Fewer `d_updates`, a
  narrower D.
* bfloat16 (`compute_dtype`): try the same run in float32 from the same checkpoint.
* Look at `samples/` and, where FID is measured, at `best/`: the model of the best FID is kept whatever came after.
"""


def write_stopped(
    folder: epath.Path, sentence: str, rule: str, step: int, metrics: Mapping[str, float], kept: str, lines: list[str]
) -> epath.Path:
    """stopped.md in a run's folder: what was seen, the rule, what to try. lines: the last of metrics.jsonl."""
    page = folder / "stopped.md"
    now = json.dumps({name: repr(value) if not math.isfinite(value) else value for name, value in metrics.items()})
    before = "\n".join(lines[-5:]) or "(nothing)"
    write_atomically(page, PAGE.format(sentence=sentence, rule=rule, step=step, now=now, before=before, kept=kept))
    return page
