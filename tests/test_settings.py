"""Settings: five layers, no unknown key, no printed secret, no live trading by accident."""

import contextlib
import dataclasses
import json
import traceback
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mahler_pipelines.errors import LiveTradingRefused, MahlerError, SettingsError
from mahler_pipelines.market.regimes import Regime
from mahler_pipelines.risk.exit_terms import ExitTerms
from mahler_pipelines.settings import (
    LIVE_PHRASE,
    PAPER_UNIVERSE,
    PROFILES,
    AnalystChoice,
    Mode,
    Profile,
    ScreenSettings,
    Settings,
)
from mahler_pipelines.strategies.limits import ScreenLimits

SECRET = "sk-never-to-be-printed"
SECRET_KEYS = (
    "alpaca.api_key",
    "alpaca.secret_key",
    "anthropic.api_key",
    "discord.bot_token",
    "database_url",
)


def load(
    directory: Path,
    overrides: dict[str, Any] | None = None,
    *,
    toml: str | None = None,
    dotenv: str | None = None,
    environ: dict[str, str] | None = None,
) -> Settings:
    if toml is not None:
        (directory / "mahler.toml").write_text(toml, encoding="utf-8")
    if dotenv is not None:
        (directory / ".env").write_text(dotenv, encoding="utf-8")
    return Settings.load(overrides, directory=directory, environ=environ or {})


def origins(settings: Settings) -> dict[str, str]:
    return {row.key: row.origin for row in settings.describe()}


def nested(key: str, value: object) -> dict[str, Any]:
    group, _, name = key.rpartition(".")
    return {group: {name: value}} if group else {name: value}


def test_nothing_given_is_a_local_desk_with_the_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.mode is Mode.LOCAL
    assert settings.market == "sim:7"
    assert settings.account == "main"
    assert settings.home == Path(".mahler")
    assert settings.universe == ()
    assert set(origins(settings).values()) == {"default"}


def test_each_layer_stands_above_the_one_before(tmp_path: Path) -> None:
    """default 0.01 < profile None < toml 0.02 < .env 0.03 < environment 0.04 < command line."""
    key, name = "share_spread_max", "MAHLER_SCREEN__SHARE_SPREAD_MAX"
    seen = []

    def look(settings: Settings) -> None:
        seen.append((settings.screen.share_spread_max, origins(settings)[f"screen.{key}"]))

    look(load(tmp_path))
    look(load(tmp_path, toml='profile = "index"'))
    look(load(tmp_path, toml=f'profile = "index"\n[screen]\n{key} = 0.02'))
    look(load(tmp_path, dotenv=f"{name}=0.03"))
    look(load(tmp_path, environ={name: "0.04"}))
    look(load(tmp_path, {"screen": {key: "0.05"}}, environ={name: "0.04"}))
    assert seen == [
        (0.01, "default"),
        (None, "profile index"),
        (0.02, "mahler.toml"),
        (0.03, ".env"),
        (0.04, "environment"),
        (0.05, "command line"),
    ]


def test_one_key_of_a_group_leaves_the_others_alone(tmp_path: Path) -> None:
    settings = load(
        tmp_path, {"screen": {"dte_min": 20}}, toml="[screen]\ndte_max = 50\nwidth_max = 5"
    )
    screen = settings.screen
    assert (screen.dte_min, screen.dte_max, screen.width_max) == (20, 50, 5.0)
    assert screen.short_delta_min == ScreenSettings().short_delta_min


def test_profile_may_come_from_any_layer(tmp_path: Path) -> None:
    toml = 'profile = "index"'
    settings = load(tmp_path, {"profile": "thin-data"}, toml=toml)
    assert settings.profile is Profile.THIN_DATA
    assert settings.screen.option_spread_max == 0.60
    assert settings.screen.width_max == 10.0


def test_index_profile_switches_off_what_an_index_has_not(tmp_path: Path) -> None:
    settings = load(tmp_path, {"profile": "index"})
    screen = settings.screen
    assert (screen.underlying_price_min, screen.underlying_price_max) == (None, None)
    assert (screen.share_volume_min, screen.share_spread_max, screen.iv_rank_min) == (None,) * 3
    assert (screen.width_min, screen.width_max) == (5.0, 25.0)
    assert settings.exchange.equity == Decimal(500_000)


def test_thin_data_profile_keeps_the_price_gates(tmp_path: Path) -> None:
    screen = load(tmp_path, {"profile": "thin-data"}).screen
    assert (screen.share_volume_min, screen.share_spread_max, screen.iv_rank_min) == (None,) * 3
    assert (screen.underlying_price_min, screen.underlying_price_max) == (20.0, 500.0)
    assert screen.option_spread_max == 0.60


def test_every_profile_names_only_known_settings(tmp_path: Path) -> None:
    """A profile with a misspelt key would silently keep the default."""
    known = {row.key for row in load(tmp_path).describe()}
    named = {key for settings in PROFILES.values() for key in settings}
    assert named <= known
    assert set(PROFILES) == set(Profile)


def test_screen_defaults_are_those_of_the_room() -> None:
    """Two places say the defaults; they must not drift apart."""
    limits = dataclasses.asdict(ScreenLimits())
    settings = ScreenSettings().model_dump()
    assert {name: settings[name] for name in limits} == limits


def test_exit_defaults_are_those_of_the_room(tmp_path: Path) -> None:
    assert load(tmp_path).exits.model_dump() == dataclasses.asdict(ExitTerms())


def test_broker_modes_bring_a_universe_of_their_own(tmp_path: Path) -> None:
    """A broker lists thousands of names; a desk does not want to look at them all."""
    settings = load(tmp_path, {"mode": "paper"})
    assert settings.universe == PAPER_UNIVERSE
    assert len(set(PAPER_UNIVERSE)) == 20
    assert load(tmp_path, {"mode": "paper", "universe": "spy"}).universe == ("SPY",)


@pytest.mark.parametrize("text", ["SPY,QQQ", " spy , QQQ,", '["SPY", "QQQ"]', "spy,QQQ,SPY"])
def test_lists_are_written_with_commas_or_as_json(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, environ={"MAHLER_UNIVERSE": text}).universe == ("SPY", "QQQ")


@pytest.mark.parametrize("word", ["off", "None", "NULL"])
def test_gate_is_switched_off_by_a_word(tmp_path: Path, word: str) -> None:
    settings = load(tmp_path, environ={"MAHLER_SCREEN__IV_RANK_MIN": word})
    assert settings.screen.iv_rank_min is None


def test_empty_variable_is_an_unset_one(tmp_path: Path) -> None:
    settings = load(tmp_path, dotenv="ALPACA_API_KEY=\nMAHLER_MODE=\n")
    assert settings.alpaca.api_key is None
    assert settings.mode is Mode.LOCAL


@pytest.mark.parametrize(
    ("layer", "shown", "nearest"),
    [
        ({"toml": "[screen]\nshort_delta_low = 0.1"}, "screen.short_delta_low", "short_delta_m"),
        ({"toml": "universum = []"}, "universum", "universe"),
        ({"toml": "[risks]\ndaily_loss = 0.1"}, "risks.daily_loss", "risk.daily_loss"),
        ({"dotenv": "MAHLER_MDOE=paper"}, "MAHLER_MDOE", "MAHLER_MODE"),
        (
            {"environ": {"MAHLER_SCREEN__DTE_MINIMUM": "3"}},
            "MAHLER_SCREEN__DTE_MINIMUM",
            "MAHLER_SCREEN__DTE_MIN",
        ),
        ({"overrides": {"screen": {"dte_mim": 3}}}, "screen.dte_mim", "screen.dte_min"),
        ({"overrides": {"dte_min": 3}}, "dte_min", "screen.dte_min"),
        ({"overrides": {"mode": {"name": "paper"}}}, "mode.name", "mode"),
    ],
)
def test_unknown_key_names_the_nearest(
    tmp_path: Path, layer: dict[str, Any], shown: str, nearest: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, **layer)
    assert raised.value.parameter == shown
    assert nearest in raised.value.reason


def test_group_given_a_single_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="a group of settings"):
        load(tmp_path, toml="screen = 3")


def test_other_programs_variables_are_left_alone(tmp_path: Path) -> None:
    environ = {"DISCORD_SOMETHING": "1", "PATH": "/bin", "ALPACA_OTHER": "2"}
    assert load(tmp_path, environ=environ).mode is Mode.LOCAL


def test_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not TOML"):
        load(tmp_path, toml="mode = ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("screen.dte_min", "soon"),
        ("screen.iv_rank_min", "101"),
        ("screen.short_delta_max", "1.2"),
        ("screen.credit_min", "nan"),
        ("screen.iv_rank_not_available", "shrug"),
        ("risk.daily_loss", "0"),
        ("exits.action", "panic"),
        ("exchange.equity", "-1"),
        ("analyst.timeout_seconds", "0"),
        ("mode", "real"),
        ("profile", "futures"),
        ("account", "My Account"),
    ],
)
def test_value_that_does_not_fit_names_its_key(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, nested(key, value))
    assert raised.value.parameter == key
    assert raised.value.value == value


@pytest.mark.parametrize("phrase", ["", "yes", LIVE_PHRASE.lower(), LIVE_PHRASE + "."])
def test_live_mode_without_the_exact_phrase_is_refused(tmp_path: Path, phrase: str) -> None:
    with pytest.raises(LiveTradingRefused, match="live_phrase"):
        load(tmp_path, {"mode": "live", "live_phrase": phrase})
    with pytest.raises(LiveTradingRefused):
        Settings(mode=Mode.LIVE, live_phrase=phrase)


def test_live_mode_with_the_phrase_is_taken(tmp_path: Path) -> None:
    settings = load(tmp_path, {"mode": "live", "live_phrase": LIVE_PHRASE})
    assert settings.mode is Mode.LIVE


def test_settings_and_groups_are_frozen(tmp_path: Path) -> None:
    settings = load(tmp_path)
    for target, name, value in [
        (settings, "mode", Mode.LIVE),
        (settings.screen, "dte_min", 1),
        (settings.risk, "daily_loss", Decimal(1)),
    ]:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(target, name, value)


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_secrets_never_print(tmp_path: Path, key: str) -> None:
    settings = load(tmp_path, nested(key, SECRET))
    shown = [
        repr(settings),
        str(settings),
        settings.model_dump_json(),
        repr(settings.model_dump()),
        repr(settings.describe()),
        json.dumps([row._asdict() for row in settings.describe()]),
    ]
    assert [text for text in shown if SECRET in text] == []
    assert {row.key: row.value for row in settings.describe()}[key] == "**********"


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_secrets_stay_out_of_errors(tmp_path: Path, key: str) -> None:
    """The whole chain is looked at: a cause or a context would carry the value too."""
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, nested(key, [SECRET]))
    assert raised.value.parameter == key
    assert SECRET not in "".join(traceback.format_exception(raised.value))


def test_value_of_a_misspelt_key_stays_out_of_the_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, environ={"MAHLER_ALPACA__API_KEE": SECRET})
    assert SECRET not in "".join(traceback.format_exception(raised.value))
    assert "MAHLER_ALPACA__API_KEY" in raised.value.reason


@pytest.mark.parametrize("layer", ["dotenv", "environ"])
def test_vendors_names_are_read_without_a_prefix(tmp_path: Path, layer: str) -> None:
    variables = {"ALPACA_API_KEY": "a", "ALPACA_SECRET_KEY": "b", "ANTHROPIC_API_KEY": "c"}
    given: dict[str, Any] = {"environ": variables}
    if layer == "dotenv":
        given = {"dotenv": "\n".join(f"{name}={value}" for name, value in variables.items())}
    settings = load(tmp_path, **given)
    keys = (settings.alpaca.api_key, settings.alpaca.secret_key, settings.anthropic.api_key)
    assert [key.get_secret_value() for key in keys if key] == ["a", "b", "c"]


def test_own_name_stands_above_the_vendors(tmp_path: Path) -> None:
    environ = {"ANTHROPIC_API_KEY": "theirs", "MAHLER_ANTHROPIC__API_KEY": "ours"}
    key = load(tmp_path, environ=environ).anthropic.api_key
    assert key is not None
    assert key.get_secret_value() == "ours"


def test_analyst_is_chosen_by_whether_there_is_a_key(tmp_path: Path) -> None:
    assert load(tmp_path).analyst_in_use is AnalystChoice.RULES
    keyed = {"ANTHROPIC_API_KEY": SECRET}
    assert load(tmp_path, environ=keyed).analyst_in_use is AnalystChoice.CLAUDE
    rules = {"analyst": {"name": "rules"}}
    assert load(tmp_path, rules, environ=keyed).analyst_in_use is AnalystChoice.RULES


def test_claude_without_a_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="ANTHROPIC_API_KEY"):
        _ = load(tmp_path, {"analyst": {"name": "claude"}}).analyst_in_use


def test_child_process_sees_what_the_command_line_said(tmp_path: Path) -> None:
    overrides = {
        "profile": "index",
        "universe": "SPX,NDX",
        "screen": {"iv_rank_min": None, "dte_min": "7"},
        "alpaca": {"api_key": SECRET},
        "exchange": {"equity": 250_000},
    }
    parent = load(tmp_path, overrides)
    child = load(tmp_path, environ=parent.environment())
    assert child.model_dump() == parent.model_dump()
    assert child.alpaca.api_key == parent.alpaca.api_key
    assert load(tmp_path).environment() == {}


def test_the_environment_itself_is_read_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAHLER_ACCOUNT", "second")
    (tmp_path / ".env").write_text("MAHLER_ACCOUNT=third\nMAHLER_DRY_RUN=true\n", "utf-8")
    settings = Settings.load()
    assert (settings.account, settings.dry_run) == ("second", True)


def test_constructor_reads_no_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pydantic-settings reads the environment on its own unless it is told not to."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACCOUNT", "surprise")
    monkeypatch.setenv("MODE", "paper")
    assert (Settings().account, Settings().mode) == ("main", Mode.LOCAL)


def test_every_key_may_be_said_in_the_environment(tmp_path: Path) -> None:
    """What describe shows is what every layer understands."""
    settings = load(tmp_path)
    for row in settings.describe():
        value = row.value
        text = "off" if value is None else json.dumps(value) if isinstance(value, list) else value
        name = "MAHLER_" + row.key.upper().replace(".", "__")
        again = load(tmp_path, environ={name: str(text)})
        assert {r.key: r.value for r in again.describe()}[row.key] == value, row.key


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,12}", fullmatch=True),
        st.one_of(st.text(max_size=8), st.integers(), st.none(), st.floats(), st.lists(st.text())),
        max_size=3,
    )
)
def test_any_overrides_load_or_are_refused_by_name(overrides: dict[str, Any]) -> None:
    """No input reaches the person as a traceback of someone else's."""
    with contextlib.suppress(MahlerError):
        settings = Settings.load(overrides, directory=Path("nowhere"), environ={})
        assert settings.mode in Mode


def test_refused_regimes_are_read_by_name_and_handed_on(tmp_path: Path) -> None:
    """`mahler dev` tells its children by the environment what it was told."""
    settings = load(tmp_path, {"screen": {"regimes_refused": "stressed, calm"}})
    assert settings.screen.regimes_refused == (Regime.STRESSED, Regime.CALM)
    again = load(tmp_path, environ=settings.environment())
    assert again.screen.regimes_refused == settings.screen.regimes_refused
    with pytest.raises(SettingsError, match="regimes_refused"):
        load(tmp_path, environ={"MAHLER_SCREEN__REGIMES_REFUSED": "wild"})
