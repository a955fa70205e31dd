"""Bear call spread: a sold call with a bought call above it; earns when the underlying stalls."""

from mahler_pipelines.options.contracts import Right
from mahler_pipelines.strategies.vertical_spreads import Outlook, VerticalSpread

BEAR_CALL_SPREAD = VerticalSpread(
    name="bear_call_spread", right=Right.CALL, outlook=Outlook.BEARISH
)
