"""Make docs/codes.md: every code that reaches the ledger, the lake, a report or the screen.

`python docs/make_codes.py` writes it; a test holds it to the enums. A table names its enum and has
a line for each member: one without, or a line without a member, is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mahler_pipelines.adapters.anthropic import AnalystProblem
from mahler_pipelines.cards.custom_ids import Action
from mahler_pipelines.decisions.approvals import DecisionOutcome
from mahler_pipelines.decisions.drift import LapseCode
from mahler_pipelines.decisions.grounding import GroundingCode
from mahler_pipelines.decisions.playbook import RuleStatus
from mahler_pipelines.decisions.playbook_rules import RuleVerdict
from mahler_pipelines.decisions.proposing import ProposalCode
from mahler_pipelines.decisions.recommendation import DecisionVerdict, RecommendationStatus
from mahler_pipelines.decisions.requoting import RequoteCode
from mahler_pipelines.decisions.rolling import RollCode
from mahler_pipelines.exchange.activities import ActivityKind
from mahler_pipelines.execution.broker import OrderStatus, PositionIntent
from mahler_pipelines.execution.broker_books import (
    FindingKind,
    FindingStatus,
    HoldingSource,
    RepairKind,
)
from mahler_pipelines.execution.close_requests import CloseWish
from mahler_pipelines.execution.closing import CloseStatus
from mahler_pipelines.execution.invariants import Invariant
from mahler_pipelines.execution.ledger import OrderPurpose
from mahler_pipelines.execution.messages import MessageKind
from mahler_pipelines.execution.submission import ExecutionRefusal, ExecutionStatus
from mahler_pipelines.execution.trades import ExitReason, TradeStatus
from mahler_pipelines.market.archive_layouts import Layout
from mahler_pipelines.market.archive_rules import KeptDefect, QuarantineReason
from mahler_pipelines.market.chains import QuoteDefect, Scan
from mahler_pipelines.market.expected_move import NoMove
from mahler_pipelines.market.forwards import ForwardSource
from mahler_pipelines.market.ranks import NoRank
from mahler_pipelines.market.rates import RateSource
from mahler_pipelines.market.realised import NoRealised
from mahler_pipelines.market.regimes import NoRegime, Regime
from mahler_pipelines.market.skew import WingMethod
from mahler_pipelines.market.term_structure import AtmMethod, MaturityMethod
from mahler_pipelines.market.volatility_history import HistorySource
from mahler_pipelines.market.volatility_metrics import NoPremium
from mahler_pipelines.messaging.authority import Stranger
from mahler_pipelines.messaging.refusing import NotTaken
from mahler_pipelines.options.black_scholes.implied import NoVolatility
from mahler_pipelines.review.lessons import LessonCode
from mahler_pipelines.risk.early_assignment import AssignmentCause, AssignmentLevel
from mahler_pipelines.risk.expiry_day import ExpiryOutcome, Shortage
from mahler_pipelines.risk.gates import GateCode, GateOutcome
from mahler_pipelines.risk.halts import HaltCode
from mahler_pipelines.risk.sizing import SizingCode
from mahler_pipelines.risk.trading_state import TradingState
from mahler_pipelines.strategies.refusals import RefusalCode, RefusalLevel
from mahler_pipelines.web.signatures import Forged

PAGE = Path(__file__).resolve().parent / "codes.md"

NOT_RAISED = "Kept for structures and acts that nothing makes yet."


@dataclass(frozen=True, slots=True)
class Codes:
    """One enum's table: member's name -> what it means."""

    enum: type[Enum]
    meanings: Mapping[str, str]
    where: str


CHAPTERS: Mapping[str, tuple[Codes, ...]] = {
    "Archives": (
        Codes(
            Layout,
            {
                "CHAIN": "One row per contract and day, an OCC root among the columns.",
                "OPTIONSDX": "OptionsDX: one row per strike with a call and a put side.",
                "CBOE_1545": "Cboe DataShop, the snapshot at 15:45.",
                "CBOE_EOD": "Cboe DataShop, the end of the day alone.",
                "OPTIONMETRICS": "Columns named as OptionMetrics names them, strikes times 1000.",
                "DAILY_BARS": "Daily open, high, low, close and volume.",
                "VOLATILITY_INDICES": "One column of closes per volatility index.",
                "VOLATILITY_INDEX_BARS": "The history of one volatility index.",
                "RATES": "Short interest rates, in percent, by FRED's names.",
            },
            "`ingested_files`, the table that `mahler ingest` prints",
        ),
        Codes(
            QuarantineReason,
            {
                "COLUMNS_MISSING": "The row has another number of columns than the header.",
                "DATE_UNREADABLE": "The row's date is none.",
                "SESSION_CLOSED": "The exchange was closed that day.",
                "ROOT_UNREADABLE": "No option root, or no underlying.",
                "EXPIRATION_UNREADABLE": "The expiration is no date.",
                "EXPIRED_BEFORE_QUOTE": "The contract had expired before it was quoted.",
                "RIGHT_UNKNOWN": "Neither a call nor a put.",
                "STRIKE_UNREADABLE": "No positive multiple of 0.001 below 100,000.",
                "NONSTANDARD_DELIVERABLE": "The contract delivers other than 100 shares.",
                "NUMBER_UNREADABLE": "A price or count is text that is no number.",
                "PRICE_NOT_FINITE": "A price is infinite.",
                "PRICE_NEGATIVE": "A price is below zero.",
                "COUNT_NEGATIVE": "A size, volume or open interest is below zero or infinite.",
                "CLOSE_MISSING": "A daily bar without a positive close.",
                "HIGH_BELOW_LOW": "A daily bar whose high lies below its low.",
                "EARLIER_SNAPSHOT": "The file has a later snapshot of the same day.",
                "REPEATED_ROW": "A further copy of an identical row.",
                "CONFLICTING_ROWS": "Rows of one key that disagree: none is believed.",
                "CONFLICTS_WITH_INGESTED": "An earlier file says otherwise: that one stays.",
            },
            "`quarantine`",
        ),
        Codes(
            KeptDefect,
            {
                "UNDERLYING_PRICE_MISSING": "Kept without a price of the underlying.",
                "LAST_MISSING_DESPITE_VOLUME": "Traded, yet without a last price.",
                "ROOT_INFERRED": "The file names no root: it was told from the expiration.",
            },
            "`ingested_files`, beside the quote defects",
        ),
    ),
    "Market": (
        Codes(
            Scan,
            {
                "MORNING": "09:35 in New York.",
                "MIDDAY": "12:00 in New York; none where the afternoon scan has overtaken it.",
                "AFTERNOON": "Thirty minutes before the close.",
                "CLOSE": "One minute before the close: the one scan of end-of-day archives.",
            },
            "partitions, `scan` columns",
        ),
        Codes(
            QuoteDefect,
            {
                "MISSING": "Neither side is there.",
                "NEGATIVE": "A side is below zero.",
                "ZERO_BID": "Nothing is bid.",
                "ONE_SIDED": "A side is absent, or the ask is zero.",
                "CROSSED": "The bid is above the ask.",
                "LOCKED": "The bid equals the ask.",
                "STALE": "Older than the settings allow, or of unknown time.",
            },
            "`implied_volatilities.quote_defect`, marks, execution",
        ),
        Codes(
            NoVolatility,
            {
                "NONE": "There is a volatility.",
                "BELOW_INTRINSIC": "The price is at or below its discounted intrinsic value.",
                "ABOVE_MAXIMUM": "The price is at or above the most that any volatility gives.",
                "NOT_FINITE": "A price, spot, strike or time is no number.",
                "EXPIRED": "No time is left.",
                "NON_POSITIVE_INPUT": "A price, spot or strike is not positive.",
                "TWO_BOUNDARIES": "American, with a yield below a negative rate (for a call, a "
                "rate below a negative yield): exercise would be best between two spots.",
            },
            "`implied_volatilities.iv_reason`",
        ),
        Codes(
            ForwardSource,
            {
                "PARITY": "Put-call parity of the pairs nearest the forward.",
                "CARRY": "Spot, rate and dividend yield.",
                "CARRY_WITHOUT_YIELD": "Spot and rate, the yield being unknown.",
            },
            "`implied_volatilities.forward_source`",
        ),
        Codes(
            AtmMethod,
            {
                "INTERPOLATED": "Linear in strike between the two strikes around the forward.",
                "NEAREST_STRIKE": "The nearest strike, close enough to stand for the money.",
                "NO_USABLE_QUOTE": "No volatility at any strike.",
                "NOT_BRACKETED": "The forward lies outside the strikes, too far from the nearest.",
                "STRIKES_TOO_FAR_APART": "The strikes around the forward are too far apart.",
            },
            "volatility at the money, by expiration",
        ),
        Codes(
            MaturityMethod,
            {
                "INTERPOLATED": "Linear in total variance between two expirations.",
                "FLAT_FROM_NEAR": "The only usable expiration, shortly before the target.",
                "FLAT_FROM_FAR": "The only usable expiration, shortly after the target.",
                "NO_USABLE_EXPIRATION": "No expiration has a volatility at the money.",
                "EXPIRATIONS_OUT_OF_BOUNDS": "None is near enough to the target.",
            },
            "30-day and 90-day volatility; `iv30_method`, `iv90_method` and `skew_method` of "
            "`volatility_metrics`, the skew's over expirations with both wings",
        ),
        Codes(
            RateSource,
            {
                "SERIES": "Published rates of the days before, by tenor.",
                "FLAT_WITHOUT_SERIES": "`rates.risk_free`: no rates were ingested.",
                "FLAT_STALE_SERIES": "`rates.risk_free`: the last rates are over a month old.",
                "FLAT_SETTING": "`rates.risk_free`, asked for as it is.",
            },
            "metadata of `implied_volatilities`",
        ),
        Codes(
            WingMethod,
            {
                "INTERPOLATED": "Linear in delta between the two quotes around 25 delta.",
                "NO_USABLE_QUOTE": "No quote of that side has a delta.",
                "NOT_BRACKETED": "All deltas lie on one side of 25.",
                "DELTAS_TOO_FAR_APART": "The two quotes are more than 20 delta apart.",
            },
            "volatility of a wing, by expiration",
        ),
        Codes(
            NoMove,
            {
                "NONE": "There are both.",
                "NO_EXPIRATION": "None a week ahead or more has a volatility at the money.",
                "NO_STRADDLE": "No strike near the forward has a usable call and put.",
            },
            "`volatility_metrics.move_reason`",
        ),
        Codes(
            NoRealised,
            {
                "NONE": "There are all three estimates.",
                "NO_BARS": "No bar in the window.",
                "BARS_MISSING": "A session of the window has no bar.",
                "BARS_INCOMPLETE": "A bar lacks a price that one of the estimators needs.",
            },
            "`volatility_metrics.realised_reason`",
        ),
        Codes(
            NoPremium,
            {
                "NONE": "There is a premium.",
                "NO_IMPLIED_VOLATILITY": "No 30-day volatility.",
                "NO_REALISED_VOLATILITY": "No close-to-close volatility.",
            },
            "`volatility_metrics.premium_reason`",
        ),
        Codes(
            NoRank,
            {
                "NONE": "There is a rank.",
                "NO_CURRENT_VOLATILITY": "No volatility at this scan.",
                "TOO_FEW_SESSIONS": "Fewer sessions than `screen.iv_history_minimum`.",
                "FLAT_HISTORY": "The history has one value: a percentile, no rank.",
            },
            "`iv_ranks.rank_reason`",
        ),
        Codes(
            HistorySource,
            {
                "SCAN": "The last scan of the session, by the desk itself.",
                "ARCHIVE": "An ingested chain of the session.",
                "OPTION_BARS": "Daily closes of options near the money and near 30 days.",
                "NONE": "Looked for, and the market had nothing.",
            },
            "`iv_history.source`, `past_volatilities.source`",
        ),
        Codes(
            Regime,
            {
                "CALM": "The regime of the lowest variance.",
                "NORMAL": "The one between.",
                "STRESSED": "The regime of the highest variance.",
            },
            "`volatility_regimes.label`",
        ),
        Codes(
            NoRegime,
            {
                "NONE": "There is a label.",
                "TOO_FEW_SESSIONS": "Too few sessions to fit.",
                "NOT_CONVERGED": "The fit did not come to an end.",
            },
            "`volatility_regimes.regime_reason`",
        ),
    ),
    "Screening": (
        Codes(
            RefusalLevel,
            {
                "UNDERLYING": "The whole underlying; its pairs are not counted.",
                "EXPIRATION": "All pairs of an expiration.",
                "LEG": "One contract, with every pair it would be in.",
                "PAIR": "One pair of legs that each passed.",
            },
            "`screen_refusals.level`",
        ),
        Codes(
            RefusalCode,
            {
                "CHAIN_EMPTY": "The market lists no contract.",
                "UNDERLYING_PRICE_MISSING": "No price of the underlying.",
                "UNDERLYING_PRICE_OUT_OF_RANGE": "Not in `screen.underlying_price_min` to `_max`.",
                "SHARE_VOLUME_TOO_LOW": "At or below `screen.share_volume_min`.",
                "SHARE_VOLUME_NOT_AVAILABLE": "Fewer bars than `screen.share_volume_sessions`.",
                "SHARE_SPREAD_TOO_WIDE": "At or above `screen.share_spread_max`.",
                "SHARE_SPREAD_NOT_AVAILABLE": "No two-sided share quote.",
                "IV_RANK_TOO_LOW": "At or below `screen.iv_rank_min`.",
                "IV_RANK_NOT_AVAILABLE": "No IV rank; `iv_ranks.rank_reason` says why.",
                "REGIME_REFUSED": "In one of `screen.regimes_refused`, with that probability.",
                "REGIME_NOT_AVAILABLE": "No regime; `volatility_regimes.regime_reason` says why.",
                "DTE_OUT_OF_RANGE": "Not in `screen.dte_min` to `_max`.",
                "QUOTE_MISSING": "No usable bid, ask and mid.",
                "QUOTE_NEGATIVE": "A side is below zero.",
                "QUOTE_ZERO_BID": "Nothing is bid.",
                "QUOTE_ONE_SIDED": "A side is absent, or the ask is zero.",
                "QUOTE_CROSSED": "The bid is above the ask.",
                "QUOTE_LOCKED": "The bid equals the ask.",
                "QUOTE_STALE": "Older than `screen.max_quote_age_seconds`, or of unknown time.",
                "OPEN_INTEREST_TOO_LOW": "At or below `screen.open_interest_min`.",
                "OPEN_INTEREST_NOT_AVAILABLE": "The market gives no open interest.",
                "OPTION_VOLUME_TOO_LOW": "At or below `screen.option_volume_min`.",
                "OPTION_VOLUME_NOT_AVAILABLE": "The market gives no volume.",
                "OPTION_SPREAD_TOO_WIDE": "At or above `screen.option_spread_max`.",
                "DELTA_NOT_AVAILABLE": "No implied volatility, so no delta.",
                "SHORT_DELTA_OUT_OF_RANGE": "Not in `screen.short_delta_min` to `_max`.",
                "WIDTH_OUT_OF_RANGE": "Not in `screen.width_min` to `_max`.",
                "CREDIT_TOO_LOW": "The mid credit is below `screen.credit_min`.",
                "CREDIT_EXCEEDS_WIDTH": "The mid credit is not below the width.",
                "NATURAL_CREDIT_NOT_POSITIVE": "Short bid less long ask brings nothing.",
            },
            "`screen_refusals.code`, `refused` and `underlyings_refused` of a run's report",
        ),
    ),
    "Decisions": (
        Codes(
            AnalystProblem,
            {
                "TRUNCATED": "The answer met a limit of tokens or of the context.",
                "REFUSED": "The model declined.",
                "UNFINISHED": "The answer stopped for another reason than its end.",
                "INVALID": "The answer does not fit the schema of a thesis.",
                "UNREADABLE": "What came back is no message.",
                "UNAUTHORIZED": "The key is not accepted (401, 403).",
                "PAYMENT_REQUIRED": "The account cannot pay (402).",
                "BAD_REQUEST": "The request was refused for another reason.",
                "RATE_LIMITED": "Too many requests (429).",
                "OVERLOADED": "The vendor is overloaded (529).",
                "UNAVAILABLE": "The vendor failed (5xx).",
                "TIMED_OUT": "No answer in time.",
                "UNREACHABLE": "No connection.",
            },
            "`model_calls.outcome`, the value of `no_thesis`",
        ),
        Codes(
            RuleVerdict,
            {
                "SUPPORTS": "The rule speaks for the candidate.",
                "KEPT": "The candidate keeps to the rule.",
                "BROKEN": "The candidate breaks the rule.",
            },
            "the rules analyst's confidence",
        ),
        Codes(
            GroundingCode,
            {
                "UNGROUNDED": "The thesis writes a number that no given fact rounds to.",
                "UNKNOWN_RULE": "The thesis cites a rule that is not in the playbook.",
            },
            "`main.recommendations.refusal`",
        ),
        Codes(
            SizingCode,
            {
                "SIZE_BELOW_ONE_CONTRACT": "One contract can lose more than the risk budget.",
            },
            "`main.recommendations.refusal`",
        ),
        Codes(
            ProposalCode,
            {
                "NO_THESIS": "The analyst gave none; the value says why.",
                "NOT_RECOMMENDED": "The thesis advises against it.",
                "CREDIT_BELOW_ONE_TICK": "The natural credit is less than a tick.",
                "CREDIT_EXCEEDS_WIDTH": "The target credit is not below the width.",
                "GATES_FAILED": "One or more gates of the account; the value names them.",
            },
            "`main.recommendations.refusal`",
        ),
        Codes(
            GateCode,
            {
                "TRADING_STATE": "The account is active.",
                "TRADES_PER_DAY": "Entries today, this one included, within the limit.",
                "DAILY_LOSS": "The day's loss is below its share of the day's first equity.",
                "PER_TRADE": "Maximum loss of this trade within its share of equity.",
                "POSITIONS_PER_SYMBOL": "Structures in the underlying, this one included.",
                "PORTFOLIO_HEAT": "Maximum loss of everything together within its share of equity.",
                "CONCENTRATION": "Maximum loss in the underlying within its share of equity.",
                "BUYING_POWER": "Maximum loss within the broker's options buying power.",
                "DUPLICATE_POSITION": "No other structure holds one of its contracts.",
                "UNKNOWN_ORDER_ON_UNDERLYING": "No order on the underlying, opening or closing, "
                "whose outcome is not known; the context names those there are.",
            },
            "`gates` of a recommendation, `no_room` of theses, the context of `gate_failed`",
        ),
        Codes(
            GateOutcome,
            {
                "PASSED": "Measured, and within the limit.",
                "FAILED": "Measured, and beyond the limit.",
                "NOT_AVAILABLE": "There was nothing to measure, which refuses.",
            },
            "`gates` of a recommendation",
        ),
        Codes(
            TradingState,
            {
                "ACTIVE": "Opens and closes.",
                "REDUCING": "Closes only.",
                "HALTED": "Closes only. Halting never blocks a close.",
            },
            "`mahler status`, `trading_state`",
        ),
        Codes(
            ExpiryOutcome,
            {
                "EXPIRES": "Out of the money, or at it: it lapses.",
                "CASH_SETTLED": "In the money, of a root that pays cash.",
                "EXERCISED": "A long in the money by a cent or more: shares change hands.",
                "ASSIGNED": "A short in the money by a cent or more: shares change hands.",
                "LIQUIDATED": "What would be delivered cannot be: the broker closes it.",
                "UNKNOWN": "The price of the underlying is not known.",
            },
            "the message `expiry_forecast`, metadata of `positions`",
        ),
        Codes(
            Shortage,
            {
                "BUYING_POWER": "The shares to be taken cost more than the account has.",
                "SHARES": "Shares would have to be given that are not held.",
            },
            "the message `expiry_forecast`, metadata of `positions`",
        ),
        Codes(
            AssignmentLevel,
            {
                "UNKNOWN": "In the money, without a quote to read the time value from.",
                "POSSIBLE": "The time value at mid is less than what early exercise gains.",
                "LIKELY": "Exercise is also the best use of the option by the model.",
            },
            "the message `early_assignment_warning`, metadata of `positions`",
        ),
        Codes(
            AssignmentCause,
            {
                "DIVIDEND": "A call is exercised before an ex-date for the dividend.",
                "INTEREST": "A put is exercised for the interest on its strike, less dividends.",
            },
            "the message `early_assignment_warning`, metadata of `positions`",
        ),
        Codes(
            HaltCode,
            {
                "DAILY_LOSS": "The day lost `halts.daily_loss` of the equity it began with; the "
                "cause is the session.",
                "LOSING_STREAK": "`halts.losing_streak` closed trades in a row lost; the cause is "
                "the first of them.",
                "UNKNOWN_ORDER": "What became of the order that is the cause has not been known "
                "for `halts.unknown_order_minutes`.",
                "STALE_MARKET_DATA": "No share quote of the session was newer than "
                "`halts.stale_data_minutes`; the cause is the last one's time.",
                "FAILED_RECONCILIATION": "`halts.failed_reconciliations` looks in a row found the "
                "difference that is the cause, or could not compare (`not_compared`).",
            },
            "`mahler status`, `halt_raised` events, the message `halted`",
        ),
        Codes(
            RecommendationStatus,
            {
                "PENDING": "Waits for an answer.",
                "APPROVED": "Approved, not yet taken up.",
                "REJECTED": "Rejected by a person.",
                "EXPIRED": "Nobody answered, or nothing was sent, before its time was over.",
                "EXECUTING": "Its order's intent is written.",
                "EXECUTED": "A trade was opened.",
                "LAPSED": "Approved, and no order filled; the reason has the codes.",
                "FAILED": "The broker refused the order.",
            },
            "`recommendations.status`",
        ),
        Codes(
            DecisionVerdict,
            {"APPROVE": "Yes, to exactly what was shown.", "REJECT": "No, with a reason."},
            "`decision.verdict`",
        ),
        Codes(
            RequoteCode,
            {
                "REQUOTED_OFTEN_ENOUGH": "`approval.requotes` offers were made already.",
                "ROLL_IS_PROPOSED_ANEW": "It is a roll: `mahler roll` proposes it from new quotes.",
                "LEG_WITHOUT_VOLATILITY": "A leg's price has no implied volatility.",
                "CONTRACTS_OUT_OF_RANGE": "A person's edit: not from 1 to `risk.max_contracts`.",
                "LIMIT_OFF_THE_TICK": "A person's edit: no positive multiple of the tick.",
                "LIMIT_ABOVE_NATURAL": "A person's edit: above what the market pays at once, so "
                "that the order would lapse as it is sent.",
            },
            "`requote_refused` and `edit_refused` events, with the codes of proposals and gates",
        ),
        Codes(
            RollCode,
            {
                "NOT_A_VERTICAL_SPREAD": "Only the desk's vertical spreads are rolled.",
                "TRADE_NOT_OPEN": "The trade is closing or closed.",
                "ROLL_IS_WAITING": "A roll of it waits for its answer or is at work.",
                "MARKET_CLOSED": "Quotes of a closed market are no offer.",
                "NO_LATER_EXPIRATION": "None is listed from value to limit.",
                "NO_STRIKES_OF_THIS_WIDTH": "The expiration has no pair of the trade's width.",
                "LEG_NOT_QUOTED": "A leg has no whole quote.",
                "UNDERLYING_PRICE_NOT_AVAILABLE": "No price of the underlying.",
            },
            "`mahler roll`, `roll_refused` events",
        ),
        Codes(
            DecisionOutcome,
            {
                "RECORDED": "The answer stands.",
                "ALREADY_DECIDED": "An earlier answer stands.",
                "EXPIRED": "The answer came too late.",
                "UNKNOWN_RECOMMENDATION": "The account has none of this id.",
                "CONTENT_CHANGED": "What was shown is not what is stored.",
            },
            "`mahler approve`, `mahler reject`",
        ),
        Codes(
            RuleStatus,
            {
                "PROPOSED": "A review proposes it.",
                "ADOPTED": "A person took it: theses read it.",
                "REFUSED": "A person refused it.",
                "RETIRED": "It was adopted once.",
            },
            "`playbook_rules.status`",
        ),
    ),
    "Execution": (
        Codes(
            ExecutionRefusal,
            {
                "DECISION_MISSING": "No recorded approval.",
                "CONTENT_HASH_DIFFERS": "The approval was for other content.",
                "RECOMMENDATION_EXPIRED": "Its time is over.",
                "TRADING_STATE_FORBIDS": "The account only reduces, or is halted.",
                "MARKET_CLOSED": "The broker's clock says closed.",
                "ACCOUNT_BLOCKED": "The broker blocks trading.",
                "QUOTE_NOT_USABLE": "A leg's quote cannot be used; the value is its defect.",
                "UNDERLYING_PRICE_NOT_AVAILABLE": "No price of the underlying.",
                "ROLLED_TRADE_CHANGED": "The trade to roll is closing or closed, or has fewer "
                "units left than the roll was approved for.",
            },
            "`status_reason` of a lapsed recommendation, `execution_refused` events",
        ),
        Codes(
            LapseCode,
            {
                "EXPIRED": "Its time was over when the order was to be sent.",
                "UNDERLYING_MOVED": "Moved more than `approval.underlying_drift` since shown.",
                "CREDIT_BELOW_FLOOR": "The natural credit is below the floor.",
                "CREDIT_ABOVE_BAND": "The natural credit is above the band that was shown.",
                "QUOTE_NOT_USABLE": "No usable price of the underlying or of the structure.",
                "GATE_FAILED": "A gate that passed fails now; the context names it.",
            },
            "`status_reason` of a lapsed recommendation, `execution_refused` events",
        ),
        Codes(
            ExecutionStatus,
            {
                "EXECUTED": "A trade is open.",
                "WORKING": "The order rests at the broker.",
                "UNKNOWN": "What became of the order is not known; it is asked after.",
                "LAPSED": "Not sent, or ended without a fill.",
                "EXPIRED": "Its time was over first.",
                "FAILED": "The broker refused it.",
                "DRY_RUN": "The intent was written and withdrawn.",
                "NOT_APPROVED": "There was nothing to execute.",
            },
            "metadata of `orders`",
        ),
        Codes(
            OrderPurpose,
            {
                "OPEN": "Opens a trade.",
                "CLOSE": "Closes one.",
                "ROLL": "Closes one and opens the one that takes its place; adds risk, too.",
                "HEDGE": "Covers what is held without its other leg.",
                "SWEEP": "Disposes of shares, or of a position that no trade stands behind.",
            },
            "`orders.purpose`, the client order id",
        ),
        Codes(
            PositionIntent,
            {
                "BUY_TO_OPEN": "Opens or adds to a long leg.",
                "BUY_TO_CLOSE": "Buys a short leg back.",
                "SELL_TO_OPEN": "Opens or adds to a short leg.",
                "SELL_TO_CLOSE": "Sells a long leg.",
            },
            "legs of orders",
        ),
        Codes(
            OrderStatus,
            {
                "INTENDED": "Written down, not sent.",
                "SUBMITTED": "On its way; no answer yet.",
                "ACKNOWLEDGED": "The broker has it.",
                "PARTIALLY_FILLED": "Some units filled, the rest works.",
                "FILLED": "Filled whole.",
                "CANCELLED": "Cancelled, with or without fills.",
                "REJECTED": "The broker refused it, or it never left.",
                "EXPIRED": "Ended with its session.",
                "REPLACED": "Another order took its place.",
                "UNKNOWN": "It may or may not be there: asked after, never guessed.",
            },
            "`orders.status`",
        ),
        Codes(
            TradeStatus,
            {
                "OPEN": "Held.",
                "CLOSING": "A closing order was sent.",
                "CLOSED": "Out, with its result.",
            },
            "`trades.status`",
        ),
        Codes(
            ExitReason,
            {
                "PROFIT_TARGET": "The cost to close fell to the profit target.",
                "STOP_LOSS": "The loss reached its multiple of the credit.",
                "TIME_EXIT": "`exits.time_exit_dte` days or fewer were left.",
                "EXPIRY_CUTOFF": "Still open on its last day, `exits.expiry_cutoff_minutes` before "
                "the close.",
                "EARLY_ASSIGNMENT": "A short leg might be assigned early, and "
                "`exits.early_assignment` says order.",
                "EXPIRED": "Settled at expiration.",
                "ASSIGNED": "A short leg was assigned.",
                "EXERCISED": "A long leg was exercised.",
                "LIQUIDATED": "An order that is not ours ended it: the broker's or another hand's.",
                "ROLLED": "A roll moved it to a later expiration.",
                "MANUAL": f"Closed by hand. {NOT_RAISED}",
            },
            "`trades.exit_reason`",
        ),
        Codes(
            CloseStatus,
            {
                "CLOSED": "The trade is closed.",
                "WORKING": "The closing order rests at the broker.",
                "UNKNOWN": "What became of the order is not known.",
                "REFUSED": "The broker refused the order; a message says so.",
                "NO_PRICE": "No quote to close against; tried again at the next look.",
                "MARKET_CLOSED": "Nothing is sent outside the session.",
                "DRY_RUN": "The intent was written and withdrawn.",
                "ALERTED": "`exits.action` leaves it to a person.",
                "FAILED": "The broker could not be asked, or another process is closing.",
            },
            "metadata of `exits`",
        ),
        Codes(
            CloseWish,
            {
                "CLOSE": "A person wants a trade closed now, at what the market asks.",
                "KEEP": "A person keeps a trade whose exit was reached.",
            },
            "`close_requests.wish`",
        ),
        Codes(
            FindingKind,
            {
                "UNKNOWN_POSITION": "The broker holds what no open trade explains.",
                "MISSING_LEG": "The broker lacks a leg of an open trade.",
                "QUANTITY_DIFFERS": "Both hold it, in different quantities.",
                "ORPHANED_ORDER": "The broker works an order the ledger lacks or has ended.",
                "ASSIGNED": "A short option was assigned; booked from the broker's activities.",
                "EXERCISED": "A long option was exercised; booked likewise.",
                "EXPIRED": "An option ran out; booked likewise.",
                "LIQUIDATED": "An order that is not ours ended a part of ours; booked likewise.",
                "UNPAIRED_SHORT": "A short option that neither an option nor shares cover.",
                "INVARIANT": "Quantity, price, cash or realised P/L does not add up.",
            },
            "`mahler findings`, the check `positions_agree_with_the_broker`, "
            "`reconciliation.*` events",
        ),
        Codes(
            FindingStatus,
            {
                "OPEN": "It differs now.",
                "REPAIRED": "It was put right, or has gone by itself.",
                "DISMISSED": "A person accepts it; it comes back when its numbers change.",
            },
            "`findings.status`",
        ),
        Codes(
            RepairKind,
            {
                "WAIT": "The broker's activities will say the cause; nothing is guessed before.",
                "ADOPT": "Take the position over at what it was filled at.",
                "BOOK": "Book what the activities state.",
                "CANCEL": "Cancel the order at the broker.",
                "COVER": "Buy back what nothing covers.",
                "SWEEP": "Sell, or buy back, what is left outside trades.",
                "EXAMINE": "A person finds out: the numbers are in the finding.",
                "GONE": "The difference went away.",
            },
            "`findings.repair`",
        ),
        Codes(
            HoldingSource,
            {
                "ADOPTED": "Taken over by a person, or opened and closed by another hand.",
                "ASSIGNED": "Shares of an assignment, the premium in their cost.",
                "EXERCISED": "Shares of an exercise, the premium in their cost.",
                "REMAINDER": "A leg whose other leg ended without an order of ours.",
                "HEDGE": "Bought to cover a short leg that a trade still holds.",
                "SWEEP": "Left over by a sweep.",
            },
            "`holdings.source`",
        ),
        Codes(
            Invariant,
            {
                "QUANTITY": "What the ledger expects is what the broker holds.",
                "AVERAGE_PRICE": "What we paid is what the broker carries it at.",
                "CASH": "What we know to have moved since the beginning is what moved.",
                "REALISED": "Booked cash is realised P/L and open value, to the cent.",
            },
            "subjects of findings of kind `invariant`",
        ),
        Codes(
            MessageKind,
            {
                "TRADE_OPENED": "An approval became a trade.",
                "TRADE_CLOSED": "A trade is closed, with its result.",
                "NOT_EXECUTED": "An approval led to no trade, and why.",
                "EXIT_REACHED": "An exit is reached and left to a person.",
                "CLOSE_REFUSED": "The broker refused a closing order.",
                "HALTED": "A limit halted the account; a person resumes it.",
                "FINDING": "Ledger and broker differ, or the cause of it is known now.",
                "UNPAIRED_SHORT": "Alarm: a short option that nothing covers.",
                "EXPIRY_FORECAST": "What the broker would do with a trade on its last day; once "
                "for each forecast of a session.",
                "EARLY_ASSIGNMENT_WARNING": "A short leg may be assigned early; once for each "
                "ex-date and level.",
            },
            "`outbox.kind`, beside `recommendation_card`, `run_failed`, `morning_brief`, "
            "`day_summary` and `learning_report`",
        ),
        Codes(
            ActivityKind,
            {
                "FILL": "A fill of one leg.",
                "FEE": "A fee.",
                "DIVIDEND": "A cash dividend on shares held.",
                "EXPIRATION": "An option lapsed.",
                "EXERCISE": "A long option was exercised.",
                "ASSIGNMENT": "A short option was assigned.",
                "CASH_SETTLEMENT": "An index option paid cash.",
                "STOCK_DELIVERY": "Shares changed hands at the strike.",
            },
            "activities of the local exchange, in Alpaca's words",
        ),
    ),
    "Chat": (
        Codes(
            Action,
            {
                "APPROVE": "Say yes to what the card shows.",
                "REJECT": "Open the form that asks why.",
                "REJECT_REASON": "The form of a rejection, sent.",
                "EDIT": "Open the form for size and limit.",
                "EDITED": "The form of an edit, sent.",
                "DETAILS": "Show rivals, gates and quotes to who asks.",
                "CLOSE": "Close the trade now.",
                "KEEP": "Keep the trade although an exit is reached.",
                "RESUME": "Ask to open trades again.",
                "RESUME_CONFIRMED": "The second question, answered yes.",
                "ADOPT_RULE": "Take a proposed rule into the playbook.",
                "REFUSE_RULE": "Refuse a proposed rule.",
            },
            "custom ids of buttons and forms",
        ),
        Codes(
            Forged,
            {
                "NO_SIGNATURE": "A request without the two headers that Discord signs with.",
                "MALFORMED": "The headers do not have the form of a signature and a timestamp.",
                "WRONG_SIGNATURE": "The signature is not the application's over this timestamp and "
                "body; Discord sends such requests itself, to see that they are refused.",
                "STALE": "The timestamp is more than a minute off.",
            },
            "the log: a request that was refused with 401",
        ),
        Codes(
            Stranger,
            {
                "WRONG_APPLICATION": "The press came for another application.",
                "WRONG_GUILD": "It came from another server, or from a direct message.",
                "WRONG_CHANNEL": "It came from another channel.",
                "NOT_ON_THE_LIST": "Neither `discord.approvers` names the person nor "
                "`discord.approver_roles` a role of theirs.",
            },
            "the log: a press that was not taken",
        ),
        Codes(
            NotTaken,
            {
                "REPLAYED": "The same interaction was answered before.",
                "UNKNOWN_BUTTON": "A custom id that this version did not write.",
                "UNKNOWN_COMMAND": "A slash command that the desk does not have.",
                "OTHER_ACCOUNT": "The card belongs to another account.",
                "UNKNOWN_CARD": "The message is no card of ours, or not noted yet.",
                "OTHER_CARD": "The button is about something else than its card.",
                "TEXT_TOO_LONG": "Longer than the form's box or the command's option.",
                "VALUE_UNREADABLE": "No size, no price, or nothing at all.",
                "NOT_THERE": "What it is about does not exist.",
                "OUT_OF_DATE": "The desk's state has changed since the person was asked.",
                "DECIDES_NOTHING": "It is decided, expired, closing or in that state already.",
                "NOT_NOW": "The ledger is busy, or the market's clock can't be read.",
                "UNFORESEEN": "A fault of the desk's own; the line before names it.",
            },
            "the log: a press that was not taken",
        ),
    ),
    "Review": (
        Codes(
            LessonCode,
            {
                "PROFIT_TAKEN_QUICKLY": "Profit target in the first half of the time.",
                "PROFIT_TAKEN_SLOWLY": "Profit target in the second half of the time.",
                "STOPPED_BY_MOVE": "Stopped, the underlying having moved a sigma or more.",
                "STOPPED_WITHOUT_MOVE": "Stopped by volatility or quotes, not by a move.",
                "TIME_EXIT_PROFIT": "Out of time with a profit.",
                "TIME_EXIT_FLAT": "Out of time within a tenth of the credit either way.",
                "TIME_EXIT_LOSS": "Out of time with a loss.",
                "EXPIRED_WORTHLESS": "Held to expiration, some of the credit kept.",
                "EXPIRED_LOSS": "Held to expiration with a loss.",
                "ASSIGNED": "A short leg was assigned.",
                "ROLLED": "Moved to a later expiration.",
                "CLOSED_BY_HAND": "A person closed it.",
            },
            "`reflections.lesson_code`, playbook rules",
        ),
    ),
}
"""Chapter -> its tables, in the order of a trading day."""


def page() -> str:
    """Return docs/codes.md; raise `ValueError` where a table and its enum differ."""
    parts = [_INTRODUCTION]
    for chapter, tables in CHAPTERS.items():
        parts.append(f"## {chapter}")
        parts += [_table(codes) for codes in tables]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write docs/codes.md."""
    PAGE.write_text(page(), encoding="utf-8")


def _table(codes: Codes) -> str:
    differing = {member.name for member in codes.enum} ^ set(codes.meanings)
    if differing:
        raise ValueError(f"{codes.enum.__name__} and its table differ in {sorted(differing)}")
    lines = [
        f"### {codes.enum.__name__}",
        "",
        f"{_first_line(codes.enum)} Seen in: {codes.where}.",
        "",
        "| code | meaning |",
        "| --- | --- |",
        *(
            f"| {_code(member)} | {codes.meanings[member.name].replace('|', chr(92) + '|')} |"
            for member in codes.enum
        ),
    ]
    return "\n".join(lines)


def _code(member: Enum) -> str:
    """The value as it is stored; numbered members are stored by name, none of them as no text."""
    name = member.value if isinstance(member.value, str) else member.name.lower()
    return "(empty)" if name in ("", "none") else f"`{name}`"


def _first_line(enum: type[Enum]) -> str:
    line = (enum.__doc__ or "").strip().partition("\n")[0]
    sentence = line.partition(";")[0].partition(". `")[0].rstrip(".")
    return f"{sentence}."


_INTRODUCTION = """\
# Codes

<!-- Made by docs/make_codes.py: change that, not this. -->

A refusal is a value: a code, what was measured, the limit it met, and its context. These are the
codes, in the order of a trading day. `main` stands for the account's name."""


if __name__ == "__main__":
    main()
