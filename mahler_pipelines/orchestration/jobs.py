"""Jobs: the pieces of the graph that run together."""

from typing import Any

import dagster as dg

from mahler_pipelines.orchestration.housekeeping import housekeeping

LANE = "mahler/lane"
"""Runs with the same value of this tag go one after another: see dagster.yaml."""
MARKET_GROUPS = ("market", "volatility", "candidates")

market_scan = dg.define_asset_job(
    "market_scan",
    selection=dg.AssetSelection.groups(*MARKET_GROUPS, "decisions"),
    description="From quotes to recommendations: one run per session and scan.",
)
order_execution = dg.define_asset_job(
    "order_execution",
    selection=dg.AssetSelection.groups("execution"),
    description="One approved recommendation to its order and fills.",
    tags={"dagster/priority": "10", LANE: "opening"},
)
position_watch = dg.define_asset_job(
    "position_watch",
    selection=dg.AssetSelection.groups("positions"),
    description="Marks, expiries and exits of everything open, one run per look.",
    tags={"dagster/priority": "5", LANE: "positions"},
)
volatility_backfill = dg.define_asset_job(
    "volatility_backfill",
    selection=dg.AssetSelection.groups("history"),
    description="Volatilities of past sessions, so that a first day has ranks; behind all else.",
    tags={"dagster/priority": "-10", LANE: "backfill"},
)
session_brief = dg.define_asset_job(
    "session_brief",
    selection=dg.AssetSelection.groups("briefs"),
    description="Before the open: what the session begins with, told to a person.",
)
end_of_day = dg.define_asset_job(
    "end_of_day",
    selection=dg.AssetSelection.groups("review"),
    description="After the close: performance, counterfactuals, reflections, playbook, summary.",
    tags={LANE: "review"},
)
week_review = dg.define_asset_job(
    "week_review",
    selection=dg.AssetSelection.groups("review", "learning"),
    description="After the week's last session: its review once more, then the learning report.",
    tags={LANE: "review"},
)


def all_jobs() -> list[Any]:
    """Every job of the desk."""
    return [
        market_scan,
        order_execution,
        position_watch,
        session_brief,
        end_of_day,
        week_review,
        volatility_backfill,
        housekeeping,
    ]
