"""Bull put spread: a sold put with a bought put below it; earns when the underlying holds."""

from mahler_pipelines.options.contracts import Right
from mahler_pipelines.strategies.vertical_spreads import Outlook, VerticalSpread

BULL_PUT_SPREAD = VerticalSpread(name="bull_put_spread", right=Right.PUT, outlook=Outlook.BULLISH)
