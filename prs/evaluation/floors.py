"""When a figure is not given because there are too few people or events to support it."""

from __future__ import annotations

from dataclasses import dataclass

from prs.errors import SettingsError

__all__ = ["OK", "ZERO_CELL", "Floors", "insufficient"]

OK = "ok"
ZERO_CELL = "zero cell, no events"


def insufficient(why: str) -> str:
    """Return the status of a row whose figures are withheld."""
    return f"insufficient data: {why}"


@dataclass(frozen=True)
class Floors:
    """The least that is asked for. Below it a row says "insufficient data", and how much there is.

    Attributes
    ----------
    min_events : int
        Cases, and controls, of a group. 20 keeps an interval from being an artefact; it is not
        precision. External validation wants 100 of each (Vergouwe et al. 2005, J Clin Epidemiol
        58:475; Collins et al. 2016, Stat Med 35:214), smooth calibration curves 200 (Van
        Calster et al. 2016, J Clin Epidemiol 74:167): the notes name the groups below 100.
    min_stratum_events : int
        Events to be expected in each arm of a contrast between strata if the arms did not
        differ; 5 is the usual rule for comparing two shares (Cochran 1954, Biometrics 10:417).
        It looks at both arms together: few events at the bottom of a good score are a finding,
        not a lack of data. No events at all in an arm leave a ratio without a value, which is
        stated. For a quantitative outcome: people in each arm.
    min_people : int
        People of a group, for a quantitative outcome.
    """

    min_events: int = 20
    min_stratum_events: int = 5
    min_people: int = 50

    def __post_init__(self) -> None:
        for name, least in (("min_events", 2), ("min_stratum_events", 1), ("min_people", 5)):
            if getattr(self, name) < least:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be at least {least}")

    def group_status(self, kind: str, n: int, n_events: int) -> str:
        """Say whether a group is large enough for its figures.

        Parameters
        ----------
        kind : {"binary", "quantitative", "survival"}
            Of the outcome.
        n, n_events : int
            People, and cases among them (not used for a quantitative outcome).
        """
        if n == 0:
            return insufficient("nobody")
        if kind == "quantitative":
            if n < self.min_people:
                return insufficient(f"{n:,} people (floor {self.min_people:,})")
            return OK
        words = [(n_events, "case"), (n - n_events, "control")]
        # The time of an event says something even where everybody has one.
        for count, word in words if kind == "binary" else [(n_events, "event")]:
            if count == 0:
                return insufficient(f"no {word}s (floor {self.min_events:,})")
            if count < self.min_events:
                plural = "" if count == 1 else "s"
                return insufficient(f"{count:,} {word}{plural} (floor {self.min_events:,})")
        return OK

    def arm_status(self, kind: str, arms: list[tuple[str, int, int]]) -> str:
        """Say whether the arms of a contrast support a ratio (or a difference).

        Parameters
        ----------
        kind : {"binary", "quantitative"}
            Of the outcome.
        arms : list of (str, int, int)
            Name, people and events of each arm.
        """
        floor = self.min_stratum_events
        total, people = sum(events for _, _, events in arms), sum(n for _, n, _ in arms)
        for name, n, _ in arms:
            if n == 0:
                return insufficient(f"nobody in the {name}")
            if kind == "quantitative" and n < floor:
                return insufficient(f"{n:,} people in the {name} (floor {floor:,})")
        if kind == "quantitative":
            return OK
        if any(total * n / people < floor for _, n, _ in arms):
            found = " and ".join(f"{events:,} in the {name}" for name, _, events in arms)
            return insufficient(f"events: {found} (floor {floor:,} expected in each)")
        for name, _, events in arms:
            if events == 0:
                return insufficient(f"{ZERO_CELL} in the {name}")
        return OK
