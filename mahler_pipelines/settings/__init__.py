"""One frozen Settings: defaults < profile < mahler.toml < .env < environment < command line."""

from mahler_pipelines.settings.groups import (
    AlpacaSettings,
    AnalystChoice,
    AnalystSettings,
    AnthropicSettings,
    ApprovalSettings,
    DiscordSettings,
    ExchangeSettings,
    ExitSettings,
    HaltSettings,
    RateSettings,
    RiskSettings,
    ScreenSettings,
)
from mahler_pipelines.settings.profiles import PAPER_UNIVERSE, PROFILES, Profile
from mahler_pipelines.settings.settings import LIVE_PHRASE, Mode, SettingRow, Settings

__all__ = [
    "LIVE_PHRASE",
    "PAPER_UNIVERSE",
    "PROFILES",
    "AlpacaSettings",
    "AnalystChoice",
    "AnalystSettings",
    "AnthropicSettings",
    "ApprovalSettings",
    "DiscordSettings",
    "ExchangeSettings",
    "ExitSettings",
    "HaltSettings",
    "Mode",
    "Profile",
    "RateSettings",
    "RiskSettings",
    "ScreenSettings",
    "SettingRow",
    "Settings",
]
