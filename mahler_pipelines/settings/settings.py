"""The one settings object: validated, frozen, and able to say where each value came from."""

import json
import os
from collections.abc import Iterator, Mapping
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from mahler_pipelines.errors import LiveTradingRefused, SettingsError
from mahler_pipelines.settings.groups import (
    AlpacaSettings,
    AnalystChoice,
    AnalystSettings,
    AnthropicSettings,
    ApprovalSettings,
    DiscordSettings,
    ExchangeSettings,
    ExecutionSettings,
    ExitSettings,
    HaltSettings,
    Names,
    RateSettings,
    RiskSettings,
    ScreenSettings,
    Secret,
    Text,
)
from mahler_pipelines.settings.layers import (
    Layer,
    dotenv_layer,
    environment_layer,
    nested_layer,
    toml_layer,
    variable,
)
from mahler_pipelines.settings.profiles import PAPER_UNIVERSE, PROFILES, Profile

LIVE_PHRASE = "I accept that Mahler trades real money"
MASK = "**********"
COMMAND_LINE = "command line"


class Mode(StrEnum):
    """Where orders go: the local exchange, Alpaca paper, or the real account."""

    LOCAL = "local"
    PAPER = "paper"
    LIVE = "live"


class SettingRow(NamedTuple):
    """One setting as a person may see it: secrets masked, and the layer it came from."""

    key: str
    value: str | int | float | bool | list[str] | None
    origin: str


class Settings(BaseSettings):
    """Everything a person may set. Build it with `load`; the constructor reads no layer."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_default=True,
        nested_model_default_partial_update=False,
    )

    mode: Mode = Mode.LOCAL
    live_phrase: str = ""
    dry_run: bool = False
    home: Annotated[Path, BeforeValidator(lambda value: Path(value).expanduser())] = Path(".mahler")
    profile: Profile = Profile.EQUITIES
    account: str = Field(default="main", pattern=r"^[a-z][a-z0-9_]*$")
    market: str = Field(default="sim:7", min_length=1)
    universe: Names = ()
    database_url: Secret = None
    lake_url: Text = None
    screen: ScreenSettings = ScreenSettings()
    risk: RiskSettings = RiskSettings()
    approval: ApprovalSettings = ApprovalSettings()
    execution: ExecutionSettings = ExecutionSettings()
    exits: ExitSettings = ExitSettings()
    halts: HaltSettings = HaltSettings()
    analyst: AnalystSettings = AnalystSettings()
    exchange: ExchangeSettings = ExchangeSettings()
    rates: RateSettings = RateSettings()
    alpaca: AlpacaSettings = AlpacaSettings()
    anthropic: AnthropicSettings = AnthropicSettings()
    discord: DiscordSettings = DiscordSettings()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave the layers to `load`, which keeps where each value came from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @field_validator("universe")
    @classmethod
    def _upper_case(cls, universe: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(symbol.upper() for symbol in universe))

    @model_validator(mode="after")
    def _refuse_unannounced_live_trading(self) -> Self:
        if self.mode is Mode.LIVE and self.live_phrase != LIVE_PHRASE:
            raise LiveTradingRefused(f'mode=live needs live_phrase="{LIVE_PHRASE}"')
        return self

    @classmethod
    def load(
        cls,
        overrides: Mapping[str, Any] | None = None,
        *,
        directory: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> "Settings":
        """Merge the layers: defaults < profile < mahler.toml < .env < environment < overrides.

        `directory` (the working directory by default) holds mahler.toml and .env; `overrides` are
        nested as in the file. Lists are written as arrays or as "A,B"; "off" is None.

        Raises:
            SettingsError: A key is unknown, or a value does not fit its key.
            LiveTradingRefused: Live mode without its phrase.
        """
        folder = Path.cwd() if directory is None else directory
        known = _known_keys(cls)
        written = [
            toml_layer(folder / "mahler.toml", known),
            dotenv_layer(folder / ".env", known),
            environment_layer(os.environ if environ is None else environ, known),
            nested_layer(COMMAND_LINE, overrides or {}, known),
        ]
        layers = [*_presets(_merge(written)), *written]
        settings = _validated(cls, _merge(layers))
        origins = {key: layer.name for layer in layers for key in layer.values}
        settings._origins.update(origins)  # noqa: SLF001 (an instance of our own making)
        return settings

    def describe(self) -> tuple[SettingRow, ...]:
        """Return every setting with its value and origin, secrets masked, in declared order."""
        return tuple(
            SettingRow(key, _shown(value), self._origins.get(key, "default"))
            for key, value in _leaves(self)
        )

    def environment(self) -> dict[str, str]:
        """Return the command line's overrides as variables, so that a child process has them too.

        Holds secrets in the clear where they were given on the command line.
        """
        return {
            variable(key): _as_text(value)
            for key, value in _leaves(self)
            if self._origins.get(key) == COMMAND_LINE
        }

    @property
    def analyst_in_use(self) -> AnalystChoice:
        """Who writes theses once `auto` is decided by whether there is a key.

        Raises:
            SettingsError: Claude was asked for and there is no key.
        """
        chosen = self.analyst.name
        keyed = self.anthropic.api_key is not None
        if chosen is AnalystChoice.AUTO:
            return AnalystChoice.CLAUDE if keyed else AnalystChoice.RULES
        if chosen is AnalystChoice.CLAUDE and not keyed:
            raise SettingsError("analyst.name", "claude", "needs ANTHROPIC_API_KEY")
        return chosen


def _presets(written: Mapping[str, Any]) -> Iterator[Layer]:
    """Yield what stands below the written layers, decided by the mode and profile they name."""
    name = str(written.get("profile", Profile.EQUITIES))
    if name in PROFILES:
        yield Layer(f"profile {name}", PROFILES[Profile(name)])
    if str(written.get("mode", Mode.LOCAL)) in (Mode.PAPER, Mode.LIVE):
        yield Layer("default with a broker", {"universe": PAPER_UNIVERSE})


def _merge(layers: list[Layer]) -> dict[str, Any]:
    return {key: value for layer in layers for key, value in layer.values.items()}


def _validated(cls: type[Settings], merged: Mapping[str, Any]) -> Settings:
    tree: dict[str, Any] = {}
    for key, value in merged.items():
        group, _, name = key.rpartition(".")
        (tree.setdefault(group, {}) if group else tree)[name] = value
    try:
        return cls(**tree)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _translated(cls, first["loc"], first["input"], first["msg"]) from None


def _translated(
    cls: type[Settings], location: tuple[int | str, ...], given: object, reason: str
) -> SettingsError:
    known = _known_keys(cls)
    dotted = [".".join(str(part) for part in location[:end]) for end in range(1, 4)]
    key = next((name for name in dotted if name in known), dotted[0])
    shown = MASK if known.get(key, False) else given
    return SettingsError(key, shown, reason)


def _known_keys(cls: type[BaseModel], prefix: str = "") -> dict[str, bool]:
    """Return every dotted key, and whether it is a secret."""
    keys: dict[str, bool] = {}
    for name, field in cls.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys |= _known_keys(kind, f"{name}.")
        else:
            keys[f"{prefix}{name}"] = "SecretStr" in str(kind)
    return keys


def _leaves(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{name}.")
        else:
            yield f"{prefix}{name}", value


def _shown(value: object) -> str | int | float | bool | list[str] | None:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, tuple):
        return [str(part) for part in value]
    if isinstance(value, Enum):
        return str(value.value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)


def _as_text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if value is None:
        return "off"
    if isinstance(value, tuple):
        return json.dumps(list(value))
    return str(_shown(value))
