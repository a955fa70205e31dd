"""The rules analyst: a thesis from the facts alone, the same words for the same facts.

Its confidence is the weighted mean of

    probability of profit                      weight 0.45
    score of the ranking                       weight 0.20
    cushion in standard deviations, at most 1  weight 0.20
    IV rank / 100                              weight 0.15

(a part that is not available leaves the mean), plus 0.03 for each playbook rule that supports the
trade, less 0.10 for each that it breaks and 0.10 in a stressed regime, kept within 0 and 1. It
recommends from 0.50 on.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mahler_pipelines.decisions.playbook_rules import JudgedRule, RuleVerdict, judge_rules
from mahler_pipelines.decisions.thesis import AnalystAnswer, AnalystQuestion, ModelCall, Thesis
from mahler_pipelines.options.contracts import INDEX_ROOTS

NAME: Final = "rules"
VERSION: Final = "rules-2"
RECOMMEND_FROM: Final = 0.50
BROKEN_RULE_COSTS: Final = 0.10
SUPPORTING_RULE_ADDS: Final = 0.03
STRESS_COSTS: Final = 0.10
RICH_RANK, FAIR_RANK = 50.0, 30.0
MAX_RISKS: Final = 6

REQUIRED_FACTS: Final = (
    *("strategy", "underlying", "root", "dte", "short_strike", "long_strike", "width"),
    *("credit_mid", "credit_to_width_percent", "max_loss_per_share", "underlying_price"),
    *("cushion_percent", "cushion_sigma", "probability_of_profit_percent", "score"),
    "net_theta_per_day",
)

Facts = Mapping[str, Any]


class RulesAnalyst:
    """Satisfies `Analyst` without a model: no key, no network, no tokens."""

    @property
    def name(self) -> str:
        """The name shown on cards."""
        return NAME

    def assess(self, question: AnalystQuestion) -> AnalystAnswer:
        """Write the thesis of one candidate, or say which fact it lacks."""
        facts = question.facts
        absent = [name for name in REQUIRED_FACTS if facts.get(name) is None]
        if absent:
            problem = f"facts are absent: {', '.join(absent)}"
            return AnalystAnswer(None, problem, _call(question, raw="", outcome="facts_absent"))
        rules = judge_rules(question)
        confidence = confidence_of(facts, rules)
        sentences = [_trade(facts), _premium(facts), _comparison(facts, rules)]
        thesis = Thesis(
            recommend=confidence >= RECOMMEND_FROM,
            confidence=confidence,
            thesis=" ".join(sentence for sentence in sentences if sentence),
            risks=tuple(_risks(facts, rules)[:MAX_RISKS]),
            rules_cited=tuple(rule.rule_id for rule in rules),
        )
        raw = thesis.model_dump_json()
        return AnalystAnswer(thesis, "", _call(question, raw=raw, outcome="thesis"))


def confidence_of(facts: Facts, rules: Sequence[JudgedRule]) -> float:
    """Return the confidence by the module's formula, to two decimals."""
    parts: list[tuple[float, float]] = [
        (0.45, facts["probability_of_profit_percent"] / 100),
        (0.20, facts["score"]),
        (0.20, min(facts["cushion_sigma"], 1.0)),
    ]
    if facts.get("iv_rank") is not None:
        parts.append((0.15, facts["iv_rank"] / 100))
    mean = sum(weight * part for weight, part in parts) / sum(weight for weight, _ in parts)
    broken = sum(rule.verdict is RuleVerdict.BROKEN for rule in rules)
    supporting = sum(rule.verdict is RuleVerdict.SUPPORTS for rule in rules)
    adjusted = mean + SUPPORTING_RULE_ADDS * supporting - BROKEN_RULE_COSTS * broken
    if facts.get("regime") == "stressed":
        adjusted -= STRESS_COSTS
    return round(min(1.0, max(0.0, adjusted)), 2)


def _trade(facts: Facts) -> str:
    side = "below" if facts["short_strike"] < facts["underlying_price"] else "above"
    words = facts["strategy"].replace("_", " ")
    odds = f"{facts['probability_of_profit_percent']:.0f} % chance of profit"
    return (
        f"The {facts['underlying']} {words} {facts['short_strike']:g}/{facts['long_strike']:g} "
        f"takes in {facts['credit_mid']:g} a share at mid, {facts['credit_to_width_percent']:.1f} "
        f"% of its width, with {facts['dte']} days to expiry; the short strike lies "
        f"{facts['cushion_percent']:.1f} % or {facts['cushion_sigma']:.2f} standard deviations "
        f"{side} the underlying at {facts['underlying_price']:.2f}, a {odds}, while time decay "
        f"earns {facts['net_theta_per_day']:.3f} a share each day."
    )


def _premium(facts: Facts) -> str:
    rank, regime = facts.get("iv_rank"), facts.get("regime")
    market = f" in a {regime} regime" if regime else ""
    if rank is None:
        return f"The IV rank is not available, so whether premium is rich{market} is not known."
    level = "rich" if rank >= RICH_RANK else "fair" if rank >= FAIR_RANK else "thin"
    basis = facts.get("iv_rank_basis")
    source = f" (basis: {basis})" if basis else ""
    text = f"The IV rank of {rank:.0f}{source} says that premium is {level}{market}"
    return f"{text}{_above_realised(facts)}."


def _above_realised(facts: Facts) -> str:
    premium = facts.get("volatility_premium_points")
    if premium is None:
        return ""
    side = "above" if premium >= 0 else "below"
    return f"; implied volatility stands {abs(premium):.1f} points {side} what was realised"


def _comparison(facts: Facts, rules: Sequence[JudgedRule]) -> str:
    rivals = facts.get("rivals") or []
    said = []
    if rivals:
        best = max(rivals, key=lambda rival: rival["score"])
        ahead = facts["score"] - best["score"]
        verb = "beats" if ahead > 0 else "trails" if ahead < 0 else "equals that of"
        said.append(
            f"its score of {facts['score']:.3f} {verb} the best rival, "
            f"{best['strategy'].replace('_', ' ')} {best['root']} {best['short_strike']:g}/"
            f"{best['long_strike']:g} with {best['dte']} days, at {best['score']:.3f}"
        )
    kept = [rule for rule in rules if rule.verdict is not RuleVerdict.BROKEN]
    if kept:
        said.append(f"it agrees with the playbook: {kept[0].words}")
    if not said:
        return ""
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."


def _risks(facts: Facts, rules: Sequence[JudgedRule]) -> list[str]:
    risks = [f"Playbook: {rule.words}." for rule in rules if rule.verdict is RuleVerdict.BROKEN]
    risks.append(
        f"A move of {facts['cushion_percent']:.1f} % reaches the short strike; beyond the long "
        f"strike {facts['max_loss_per_share']:.2f} a share is lost against a credit of "
        f"{facts['credit_mid']:g}."
    )
    if facts.get("regime") == "stressed":
        risks.append("The volatility regime is stressed: moves beyond the model are likelier.")
    widest = max(facts.get(f"{role}_spread_percent") or 0.0 for role in ("short", "long"))
    if widest:
        risks.append(f"The wider leg is quoted {widest:.1f} % wide, which the exit pays again.")
    if facts.get("iv_rank") is None:
        risks.append("Without an IV rank premium may be cheap for this underlying.")
    elif facts["iv_rank"] < FAIR_RANK:
        risks.append(f"At an IV rank of {facts['iv_rank']:.0f} volatility has more room to rise.")
    if facts["root"] not in INDEX_ROOTS:
        risks.append("American exercise: the short leg can be assigned early when in the money.")
    return risks


def _call(question: AnalystQuestion, *, raw: str, outcome: str) -> ModelCall:
    asked = json.dumps(
        [question.candidate_id, question.facts, question.playbook, question.playbook_version],
        sort_keys=True,
        default=str,
    )
    return ModelCall(
        candidate_id=question.candidate_id,
        analyst=NAME,
        model=VERSION,
        request_hash=hashlib.sha256(asked.encode()).hexdigest(),
        raw_message=raw,
        stop_reason="",
        input_tokens=0,
        output_tokens=0,
        latency_seconds=0.0,
        outcome=outcome,
    )
