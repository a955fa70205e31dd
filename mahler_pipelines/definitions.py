"""The composition root of the graph: the one place that binds resources and names accounts."""

from typing import Any

import dagster as dg

from assets import candidates, history, market, volatility
from assets.decisions import decision_assets
from assets.execution import execution_assets
from assets.reports import report_assets
from assets.review import review_assets
from mahler_pipelines.composition import ComposedDesk, compose
from mahler_pipelines.orchestration.io_managers import LakeIOManager
from mahler_pipelines.orchestration.jobs import all_jobs
from mahler_pipelines.orchestration.schedules import all_schedules
from mahler_pipelines.orchestration.sensors import all_sensors
from mahler_pipelines.settings import Settings


def account_assets(account_id: str) -> list[dg.AssetsDefinition]:
    """The part of the graph that belongs to one account; its keys start with the account's name."""
    return [
        *decision_assets(account_id),
        *execution_assets(account_id),
        *review_assets(account_id),
        *report_assets(account_id),
    ]


def build_definitions(settings: Settings) -> dg.Definitions:
    """Bind the graph to the desk that these settings describe. Connections open on first use."""
    desk = compose(settings)
    return dg.Definitions(
        assets=[
            *dg.load_assets_from_modules([market, history, volatility, candidates]),
            *account_assets(settings.account),
        ],
        jobs=all_jobs(),
        schedules=all_schedules(),
        sensors=all_sensors(),
        resources=_resources(desk),
        executor=dg.in_process_executor,
    )


class _OpenedByUse:
    """A port of the desk that is opened by the first call to it.

    A broker that is not there then fails the call, where a sensor can say so, and not the
    resource's initialisation.
    """

    def __init__(self, desk: ComposedDesk, name: str) -> None:
        self._desk, self._name = desk, name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(getattr(self._desk, self._name), attribute)


def _resources(desk: ComposedDesk) -> dict[str, Any]:
    """Each port as a resource that is made when a run or tick first needs it."""

    def port(name: str, description: str) -> dg.ResourceDefinition:
        return dg.ResourceDefinition(lambda _: getattr(desk, name), description=description)

    def remote(name: str, description: str) -> dg.ResourceDefinition:
        return dg.ResourceDefinition(lambda _: _OpenedByUse(desk, name), description=description)

    return {
        "lake": port("lake", "What was seen and computed, in Parquet."),
        "reference_lake": port("reference_lake", "Ingested bars, volatility indices and rates."),
        "ledger": port("ledger", "What was decided and done."),
        "market_data": remote("market_data", "The market, over Alpaca's wire."),
        "broker": remote("broker", "The broker, over Alpaca's wire."),
        "analyst": port("analyst", "Writes theses: rules, or Claude."),
        "mail_room": port("mail_room", "Delivers messages, a round at a time."),
        "terms": port("terms", "Every limit of the desk."),
        "io_manager": dg.IOManagerDefinition(lambda _: LakeIOManager(desk.lake)),
    }


__all__ = ["account_assets", "build_definitions", "defs"]


defs = build_definitions(Settings.load())
