"""What pruning jobs say together."""

from dataclasses import dataclass

import pandas as pd

from espalier.tasks import Metric


@dataclass(frozen=True)
class Pruned:
    """Joined tables of finished pruning jobs as DataFrames, the metric that judges, rules without learning and what they reach
    on test, and the tolerance of safe percents.  curve: None where levels alone are looked at; bounds: names of those rules
    that nothing can do better than.
    """

    summary: pd.DataFrame
    curve: pd.DataFrame | None
    metric: Metric
    baselines: dict
    safe: float | None
    bounds: tuple = ()

    @property
    def rules(self):
        """The baselines that a network may do better than: no bounds, and none that leaves less than the tolerance to the best
        that there is.
        """
        best = self.metric.limits[1 if self.metric.higher else 0]
        rules = {name: value for name, value in self.baselines.items() if name not in self.bounds}
        return {
            name: value for name, value in rules.items()
            if best is None or self.metric.worse(best, value) > self.metric.allowed(value)
        }  # fmt: skip
