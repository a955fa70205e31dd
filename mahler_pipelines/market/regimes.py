"""Volatility regimes: calm, normal or stressed, learnt from an underlying's own past."""

import warnings
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mahler_pipelines.errors import BadInput, CorruptData
from mahler_pipelines.market.brackets import floats
from mahler_pipelines.market.realised import realised_volatility
from mahler_pipelines.market.sessions import NEW_YORK

REALISED_WINDOW: Final = 20
_SEED: Final = 20_190_425
_MAX_ITERATIONS: Final = 200
_RIDGE: Final = 1e-3


class Regime(StrEnum):
    """Regimes in order of variance."""

    CALM = "calm"
    NORMAL = "normal"
    STRESSED = "stressed"


class NoRegime(StrEnum):
    """Why there is no label."""

    NONE = ""
    TOO_FEW_SESSIONS = "too_few_sessions"
    NOT_CONVERGED = "not_converged"


@dataclass(frozen=True, slots=True)
class RegimeModel:
    """How the mixture is fitted: fewest and most sessions it may rest on.

    A feature that is known on less than `feature_share` of them is left out: with it a fit would
    rest on a fraction of the past, and change when the feature comes to be known.
    """

    minimum_sessions: int = 60
    lookback_sessions: int = 504
    feature_share: float = 0.8


DEFAULT_MODEL: Final = RegimeModel()

PROBABILITY_COLUMNS: Final = tuple(f"probability_{regime}" for regime in Regime)


def regimes(
    bars: pd.DataFrame,
    volatilities: pd.DataFrame,
    *,
    as_of: datetime,
    model: RegimeModel = DEFAULT_MODEL,
) -> pd.DataFrame:
    """Label the last completed session of each underlying: one row per underlying in `bars`.

    A mixture of three Gaussians (C. Bishop, Pattern Recognition and Machine Learning, section 9.2)
    on log return, log realised volatility over 20 sessions, log implied volatility and, where
    `volatilities` has it, `term_slope`; fitted on sessions strictly before the New York date of
    `as_of` with a fixed seed. Covariances are diagonal, which keeps labels steadier from fit to fit
    (decision 7). Components are ordered by their mean realised variance. `bars` has
    `market.data.BAR_COLUMNS`, `volatilities` underlying, session, implied_volatility and perhaps
    term_slope; a feature that too few of the sessions have is left out, and `features` says what
    was used. Columns: underlying, session, label (None where `regime_reason` says why), the three
    probabilities, sessions, features, regime_reason. Raises `BadInput` when `as_of` has no zone,
    `CorruptData` when `volatilities` has a session of an underlying twice.
    """
    if as_of.tzinfo is None:
        raise BadInput("as_of", as_of, "needs a time zone")
    if volatilities.duplicated(["underlying", "session"]).any():
        raise CorruptData("volatilities: an underlying has two rows of one session")
    today = pd.Timestamp(as_of.astimezone(NEW_YORK).date())
    table = _features(bars[bars["session"] < today], volatilities)
    rows = [_label_one(str(name), of_one, model) for name, of_one in table.groupby("underlying")]
    missing = sorted(set(bars["underlying"]) - set(table["underlying"]))
    rows.extend(_unlabelled(name, pd.NaT, 0, "", NoRegime.TOO_FEW_SESSIONS) for name in missing)
    columns = ["underlying", "session", "label", *PROBABILITY_COLUMNS, "sessions", "features"]
    result = pd.DataFrame(rows, columns=[*columns, "regime_reason"])
    types = {"label": "object", **dict.fromkeys(PROBABILITY_COLUMNS, "float64")}
    return result.astype(types).sort_values("underlying", ignore_index=True)


def _features(bars: pd.DataFrame, volatilities: pd.DataFrame) -> pd.DataFrame:
    ordered = bars.sort_values(["underlying", "session"], kind="stable", ignore_index=True)
    previous = ordered.groupby("underlying", sort=False)["close"].shift(1)
    table = ordered[["underlying", "session"]].copy()
    table["log_return"] = np.log(ordered["close"] / previous)
    realised = realised_volatility(ordered, window=REALISED_WINDOW)["realised_volatility"]
    table["log_realised_volatility"] = np.log(realised.where(realised > 0))
    columns = ["underlying", "session", "implied_volatility"]
    slope = ["term_slope"] if "term_slope" in volatilities.columns else []
    known = volatilities[[*columns, *slope]].rename(
        columns={"implied_volatility": "log_implied_volatility"}
    )
    values = known["log_implied_volatility"]
    known["log_implied_volatility"] = np.log(values.where(values > 0))
    return table.merge(known, on=["underlying", "session"], how="left")


def _label_one(underlying: str, table: pd.DataFrame, model: RegimeModel) -> dict[str, object]:
    always = ["log_return", "log_realised_volatility"]
    window = table.tail(model.lookback_sessions)
    optional = [name for name in window.columns if name not in ("underlying", "session", *always)]
    whole = window.dropna(subset=always)
    enough = max(model.minimum_sessions, model.feature_share * len(whole))
    # A feature must speak for the session that is labelled, and for most others.
    used = always + [
        name
        for name in optional
        if whole[name].notna().sum() >= enough and pd.notna(whole[name].iloc[-1])
    ]
    complete = window[["session", *used]].dropna()
    features = ",".join(used)
    if len(complete) < model.minimum_sessions:
        last = window["session"].iloc[-1]
        return _unlabelled(underlying, last, len(complete), features, NoRegime.TOO_FEW_SESSIONS)
    last = complete["session"].iloc[-1]
    probabilities = _fit(floats(complete[used]))
    if probabilities is None:
        return _unlabelled(underlying, last, len(complete), features, NoRegime.NOT_CONVERGED)
    return {
        "underlying": underlying,
        "session": last,
        "label": list(Regime)[int(probabilities.argmax())].value,
        **dict(zip(PROBABILITY_COLUMNS, map(float, probabilities), strict=True)),
        "sessions": len(complete),
        "features": features,
        "regime_reason": NoRegime.NONE.value,
    }


def _fit(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the last row's probabilities in order of variance, or None without convergence."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    spread = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    # Starting from thirds by realised volatility: one fit, nothing random, no k-means restarts.
    thirds = np.array_split(scaled[np.argsort(scaled[:, 1], kind="stable")], len(Regime))
    mixture = GaussianMixture(
        n_components=len(Regime),
        covariance_type="diag",
        reg_covar=_RIDGE,
        max_iter=_MAX_ITERATIONS,
        weights_init=np.full(len(Regime), 1.0 / len(Regime)),
        means_init=np.array([third.mean(axis=0) for third in thirds]),
        precisions_init=np.array([1.0 / (third.var(axis=0) + _RIDGE) for third in thirds]),
        random_state=_SEED,
    )
    with warnings.catch_warnings():
        # Reported through `converged_` instead, as a reason.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(scaled)
    if not mixture.converged_:
        return None
    order = np.argsort(mixture.means_[:, 1], kind="stable")
    return np.asarray(mixture.predict_proba(scaled[-1:])[0][order], dtype=np.float64)


def _unlabelled(
    underlying: str, session: object, sessions: int, features: str, reason: NoRegime
) -> dict[str, object]:
    return {
        "underlying": underlying,
        "session": session,
        "label": None,
        **dict.fromkeys(PROBABILITY_COLUMNS, np.nan),
        "sessions": sessions,
        "features": features,
        "regime_reason": reason.value,
    }
