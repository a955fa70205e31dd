"""The groups of settings, one per table of mahler.toml. None switches a gate off."""

import json
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from mahler_pipelines.market.regimes import Regime
from mahler_pipelines.risk.exit_terms import ExitAction
from mahler_pipelines.strategies.limits import NotAvailablePolicy

OFF_WORDS = frozenset({"off", "none", "null"})


def _off(value: object) -> object:
    """Read "off" as None: TOML and the environment have no word for nothing."""
    return None if isinstance(value, str) and value.strip().lower() in OFF_WORDS else value


def _names(value: object) -> object:
    """Read "A, B" and '["A", "B"]' alike."""
    if not isinstance(value, str):
        return value
    if value.strip().startswith("["):
        return json.loads(value)
    return tuple(part.strip() for part in value.split(",") if part.strip())


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
Regimes = Annotated[tuple[Regime, ...], BeforeValidator(_names)]
Gate = Annotated[float | None, Field(ge=0), BeforeValidator(_off)]
DayGate = Annotated[int | None, Field(ge=0), BeforeValidator(_off)]
CutoffMinutes = Annotated[int | None, Field(ge=60, le=210), BeforeValidator(_off)]
RequestCount = Annotated[int | None, Field(ge=10), BeforeValidator(_off)]
Share = Annotated[float | None, Field(ge=0, le=1), BeforeValidator(_off)]
Fraction = Annotated[Decimal, Field(gt=0, le=1)]
HeatGate = Annotated[Decimal | None, Field(ge=0), BeforeValidator(_off)]
LossGate = Annotated[Decimal | None, Field(ge=0, le=1), BeforeValidator(_off)]
Secret = Annotated[SecretStr | None, BeforeValidator(_off)]
Text = Annotated[str | None, BeforeValidator(_off)]


class Group(BaseModel):
    """A table of settings: frozen, nothing unknown, and no value in an error's text."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        validate_default=True,
    )


class ScreenSettings(Group):
    """What a candidate must pass.

    Prices, widths and credits are USD per share, spreads relative to the mid, deltas absolute, IV
    rank from 0 to 100.
    """

    strategies: Names = ("bull_put_spread", "bear_call_spread")
    underlying_price_min: Gate = 20.0
    underlying_price_max: Gate = 500.0
    share_volume_min: Gate = 1_000_000.0
    share_volume_sessions: int = Field(default=20, ge=1)
    share_spread_max: Gate = 0.01
    iv_rank_min: Annotated[float | None, Field(ge=0, le=100), BeforeValidator(_off)] = 25.0
    iv_lookback_sessions: int = Field(default=252, ge=2)
    iv_history_minimum: int = Field(default=20, ge=2)
    iv_history_coverage: float = Field(default=0.8, ge=0, le=1)
    regimes_refused: Regimes = ()
    regime_probability: float = Field(default=0.5, gt=0, le=1)
    open_interest_min: Gate = 100.0
    option_volume_min: Gate = 50.0
    option_spread_max: Gate = 0.10
    dte_min: DayGate = 25
    dte_max: DayGate = 45
    short_delta_min: Share = 0.20
    short_delta_max: Share = 0.30
    width_min: Gate = 5.0
    width_max: Gate = 10.0
    credit_min: Gate = 0.30
    max_quote_age_seconds: Gate = 900.0
    share_volume_not_available: NotAvailablePolicy = NotAvailablePolicy.REFUSE
    share_spread_not_available: NotAvailablePolicy = NotAvailablePolicy.REFUSE
    iv_rank_not_available: NotAvailablePolicy = NotAvailablePolicy.REFUSE
    regime_not_available: NotAvailablePolicy = NotAvailablePolicy.REFUSE
    open_interest_not_available: NotAvailablePolicy = NotAvailablePolicy.REFUSE
    option_volume_not_available: NotAvailablePolicy = NotAvailablePolicy.REFUSE


class RiskSettings(Group):
    """What the account may carry. Shares are of its equity."""

    trades_per_day: int = Field(default=10, ge=0)
    daily_loss: Fraction = Decimal("0.05")
    per_trade: Fraction = Decimal("0.20")
    positions_per_symbol: int = Field(default=2, ge=1)
    portfolio_heat: Fraction = Decimal("0.30")
    concentration: Fraction = Decimal("0.30")
    risk_per_trade: Fraction = Decimal("0.01")
    max_contracts: int = Field(default=10, ge=1)


class ApprovalSettings(Group):
    """How long a recommendation stands, and how far the market may move meanwhile."""

    expires_after_minutes: int = Field(default=30, ge=1)
    underlying_drift: Fraction = Decimal("0.01")
    floor_tolerance: Annotated[Decimal, Field(ge=0, lt=1)] = Decimal("0.05")
    requotes: int = Field(default=1, ge=0)
    recommendations_per_scan: int = Field(default=5, ge=0)


class ExitSettings(Group):
    """When a trade is closed: shares of the credit, and calendar days before expiration."""

    profit_target: Fraction = Decimal("0.50")
    stop_loss: Annotated[Decimal, Field(gt=0)] = Decimal("2.00")
    time_exit_dte: int = Field(default=21, ge=0)
    action: ExitAction = ExitAction.ORDER
    expiry_cutoff_minutes: CutoffMinutes = 75
    expiry_always_closes: bool = False
    early_assignment: ExitAction = ExitAction.ALERT


class ExecutionSettings(Group):
    """How the limit of an order walks from near the mid to its end. A start at 1 is natural."""

    start_fraction: Annotated[Decimal, Field(ge=0, le=1)] = Decimal("0.50")
    steps: int = Field(default=4, ge=1, le=20)
    step_seconds: float = Field(default=30.0, ge=1)
    patience_seconds: float = Field(default=300.0, ge=1)

    @model_validator(mode="after")
    def _reaches_its_end(self) -> Self:
        if self.patience_seconds < self.steps * self.step_seconds:
            raise ValueError("patience_seconds ends before the last step: steps x step_seconds")
        return self


class HaltSettings(Group):
    """When opening stops until a person resumes: 0 or off switches a rule off."""

    daily_loss: LossGate = Decimal("0.05")
    losing_streak: DayGate = 5
    unknown_order_minutes: Gate = 15.0
    stale_data_minutes: Gate = 15.0
    failed_reconciliations: DayGate = 3


class AnalystChoice(StrEnum):
    """Who writes theses; `auto` is Claude when there is a key, else the rules."""

    RULES = "rules"
    CLAUDE = "claude"
    AUTO = "auto"


class AnalystSettings(Group):
    """Who writes theses, and what a model may take."""

    name: AnalystChoice = AnalystChoice.AUTO
    model: str = Field(default="claude-sonnet-5-5", min_length=1)
    base_url: str = "https://api.anthropic.com"
    timeout_seconds: float = Field(default=60.0, gt=0)
    max_tokens: int = Field(default=4096, ge=256)
    max_attempts: int = Field(default=3, ge=1)


class ExchangeSettings(Group):
    """The local exchange of `local` mode. Its clock stands still at rate 0."""

    equity: Annotated[Decimal, Field(gt=0)] = Decimal(100_000)
    fee_per_contract: Annotated[Decimal, Field(ge=0)] = Decimal("0.00")
    port: int = Field(default=0, ge=0, le=65_535)
    clock_rate: float = Field(default=0.0, ge=0)
    requests_per_minute: RequestCount = None


class RateSettings(Group):
    """Interest rates, per year, continuously compounded."""

    risk_free: float = Field(default=0.04, gt=-0.1, lt=1)


class AlpacaSettings(Group):
    """Keys of the broker; the URLs are the vendor's own unless given.

    Requests are counted over all processes of a book; off counts none. The default leaves a tenth
    of Alpaca's 200 to whatever else uses the keys.
    """

    api_key: Secret = None
    secret_key: Secret = None
    trading_url: Text = None
    data_url: Text = None
    options_feed: Literal["indicative", "opra"] = "indicative"
    stock_feed: Literal["iex", "sip"] = "iex"
    requests_per_minute_trading: RequestCount = 180
    requests_per_minute_data: RequestCount = 180
    reserved_for_orders: float = Field(default=0.2, ge=0, le=0.9)


class AnthropicSettings(Group):
    """The key of the model's vendor."""

    api_key: Secret = None


class DiscordSettings(Group):
    """Where cards go, and whose clicks count: people on either list. Ids are Discord's snowflakes.

    `second_approval_heat` is a share of equity at risk with the trade in it.
    """

    model_config = ConfigDict(coerce_numbers_to_str=True)

    bot_token: Secret = None
    public_key: Text = None
    application_id: Text = None
    guild_id: Text = None
    channel_id: Text = None
    approvers: Names = ()
    approver_roles: Names = ()
    second_approval_heat: HeatGate = None
    door: Literal["auto", "http", "gateway", "reactions", "off"] = "auto"
    base_url: str = "https://discord.com/api/v10"
