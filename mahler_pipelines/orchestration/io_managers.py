"""The IO manager that keeps the outputs of market-facing assets in the lake."""

from typing import Any

import dagster as dg
import pandas as pd

from mahler_pipelines.errors import BadInput
from mahler_pipelines.market.chains import ChainSnapshot
from mahler_pipelines.market.lake import Lake
from mahler_pipelines.orchestration.partitions import ScanPartition, scan_partition


class LakeIOManager(dg.IOManager):
    """Tables replace their partition; a chain snapshot is added and the pointer moves to it.

    An asset's table is its key joined by a dot, so that accounts stay apart.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Store a `ChainSnapshot` of this partition or a DataFrame; anything else is refused."""
        partition = _partition(context)
        if isinstance(obj, ChainSnapshot):
            if (obj.session, obj.scan) != (partition.session, partition.scan.value):
                named = f"{obj.session} {obj.scan}"
                raise BadInput("output", named, f"is not of {context.asset_partition_key}")
            self._lake.add_snapshot(obj)
            return
        if not isinstance(obj, pd.DataFrame):
            raise BadInput("output", type(obj).__name__, "neither a table nor a chain snapshot")
        path = self._lake.write(
            table_of(context.asset_key), obj, session=partition.session, scan=partition.scan.value
        )
        context.add_output_metadata({"lake_path": path})

    def load_input(self, context: dg.InputContext) -> Any:
        """Read the partition that matches the asset being computed."""
        partition = _partition(context)
        if context.asset_key.path[-1] == "option_chains":
            return self._lake.snapshot(session=partition.session, scan=partition.scan.value)
        return self._lake.read(
            table_of(context.asset_key), session=partition.session, scan=partition.scan.value
        )


def table_of(key: dg.AssetKey) -> str:
    """The lake table of an asset."""
    return ".".join(key.path)


def _partition(context: dg.InputContext | dg.OutputContext) -> ScanPartition:
    return scan_partition(context.asset_partition_key)
