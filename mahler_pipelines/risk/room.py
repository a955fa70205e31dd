"""Room: which candidates the account could still carry, asked before an analyst is paid for one."""

import pandas as pd

from mahler_pipelines.risk.exposure import Exposure
from mahler_pipelines.risk.gates import GateCode
from mahler_pipelines.risk.limits import RiskLimits


def without_room(
    candidates: pd.DataFrame, exposure: Exposure, limits: RiskLimits
) -> "pd.Series[str]":
    """Return the gate that each candidate would certainly fail, or an empty string.

    Only what depends on the structure alone is asked: positions in its underlying, and contracts
    that another structure holds. Size, heat and buying power are asked when it is proposed.
    """
    held = list(exposure.symbols)
    shares = candidates["short_symbol"].isin(held) | candidates["long_symbol"].isin(held)
    positions = candidates["underlying"].map(exposure.positions_in).astype("int64")
    code = pd.Series("", index=candidates.index, dtype="str")
    code = code.mask(shares, GateCode.DUPLICATE_POSITION.value)
    full = positions >= limits.positions_per_symbol
    return code.mask(full, GateCode.POSITIONS_PER_SYMBOL.value)
