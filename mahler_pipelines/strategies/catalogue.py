"""Every strategy of the desk, by name."""

from mahler_pipelines.errors import BadInput
from mahler_pipelines.strategies.bear_call_spread import BEAR_CALL_SPREAD
from mahler_pipelines.strategies.bull_put_spread import BULL_PUT_SPREAD
from mahler_pipelines.strategies.vertical_spreads import VerticalSpread

STRATEGIES: dict[str, VerticalSpread] = {
    spread.name: spread for spread in (BULL_PUT_SPREAD, BEAR_CALL_SPREAD)
}
"""Name -> strategy."""


def strategy_named(name: str) -> VerticalSpread:
    """Return the strategy of this name; raise `BadInput` naming the known ones."""
    known = STRATEGIES.get(name)
    if known is None:
        raise BadInput("strategy", name, f"not one of {', '.join(STRATEGIES)}")
    return known
