"""When a figure is not given because there are too few people or events to support it."""

from __future__ import annotations

from dataclasses import dataclass

from prs.errors import SettingsError

__all__ = ["OK", "Floors", "insufficient"]

OK = "ok"


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
        Cases in each arm of a contrast between strata; 5, below which log intervals such as
        Katz's are poor (Fagerland et al. 2015, Stat Methods Med Res 24:224). For a quantitative
        outcome: people in each arm.
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
        kind : {"binary", "quantitative"}
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
        for count, word in ((n_events, "case"), (n - n_events, "control")):
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
        for name, n, events in arms:
            count, word = (n, "people") if kind == "quantitative" else (events, "events")
            if count == 0:
                cell = "nobody" if kind == "quantitative" or n == 0 else "zero cell, no events"
                return insufficient(f"{cell} in the {name}")
            if count < self.min_stratum_events:
                word = "event" if count == 1 and word == "events" else word
                return insufficient(
                    f"{count:,} {word} in the {name} (floor {self.min_stratum_events:,})"
                )
        return OK
