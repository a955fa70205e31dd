"""Lessons: the codes under which closed trades are grouped, and how a trade gets its code."""

from enum import StrEnum

from mahler_pipelines.execution.trades import ExitReason


class LessonCode(StrEnum):
    """What a closed trade was an example of; the docs' table is made from this enum."""

    PROFIT_TAKEN_QUICKLY = "profit_taken_quickly"
    PROFIT_TAKEN_SLOWLY = "profit_taken_slowly"
    STOPPED_BY_MOVE = "stopped_by_move"
    STOPPED_WITHOUT_MOVE = "stopped_without_move"
    TIME_EXIT_PROFIT = "time_exit_profit"
    TIME_EXIT_FLAT = "time_exit_flat"
    TIME_EXIT_LOSS = "time_exit_loss"
    EXPIRED_WORTHLESS = "expired_worthless"
    EXPIRED_LOSS = "expired_loss"
    ASSIGNED = "assigned"
    ROLLED = "rolled"
    CLOSED_BY_HAND = "closed_by_hand"


RULE_TEXTS: dict[LessonCode, str] = {
    LessonCode.PROFIT_TAKEN_QUICKLY: (
        "Prefer entries like these: the profit target was reached in the first half of the time."
    ),
    LessonCode.PROFIT_TAKEN_SLOWLY: (
        "Expect slow decay here: the profit target came late; ask for a higher credit or a nearer "
        "expiration."
    ),
    LessonCode.STOPPED_BY_MOVE: (
        "Demand more distance: the underlying moved more than one standard deviation into the "
        "short strike."
    ),
    LessonCode.STOPPED_WITHOUT_MOVE: (
        "Beware of rising volatility and wide quotes: the stop was reached without a large move."
    ),
    LessonCode.TIME_EXIT_PROFIT: (
        "The time exit kept part of the credit; the profit target may be set too far for this "
        "strategy."
    ),
    LessonCode.TIME_EXIT_FLAT: (
        "Ask for a richer credit: at the time exit nothing had been earned for the risk carried."
    ),
    LessonCode.TIME_EXIT_LOSS: (
        "Look for trend against the position before entry: it was under water when time ran out."
    ),
    LessonCode.EXPIRED_WORTHLESS: (
        "The whole credit was kept to expiry; the last days carried risk for little premium."
    ),
    LessonCode.EXPIRED_LOSS: (
        "Close before expiration: the loss at settlement could not be managed any more."
    ),
    LessonCode.ASSIGNED: (
        "Close short legs in the money before expiration: assignment brought shares to the account."
    ),
    LessonCode.ROLLED: (
        "Compare both halves of a roll: what was given up with what the later expiration brought."
    ),
    LessonCode.CLOSED_BY_HAND: (
        "Write down why a trade is closed by hand, so that the reason can become a rule."
    ),
}

TIME_RAN_OUT = (ExitReason.TIME_EXIT, ExitReason.EXPIRY_CUTOFF, ExitReason.EARLY_ASSIGNMENT)
"""Exits by the calendar, whatever the result: days left, the last day, an ex-date."""

FLAT_SHARE = 0.10
"""A result within a tenth of the credit is neither profit nor loss."""


def lesson_of(
    *,
    reason: ExitReason,
    share_of_max_profit: float,
    share_of_time: float,
    move_in_sigmas: float | None,
) -> LessonCode:
    """Assign the code of a closed trade.

    `share_of_max_profit` is the result over the credit received, `share_of_time` the days held over
    the days to expiration at entry, `move_in_sigmas` the underlying's move in standard deviations
    of the implied volatility at entry over the days held (None when it isn't known).
    """
    if reason is ExitReason.PROFIT_TARGET:
        quick = share_of_time <= 0.5
        return LessonCode.PROFIT_TAKEN_QUICKLY if quick else LessonCode.PROFIT_TAKEN_SLOWLY
    if reason is ExitReason.STOP_LOSS:
        moved = move_in_sigmas is not None and abs(move_in_sigmas) >= 1.0
        return LessonCode.STOPPED_BY_MOVE if moved else LessonCode.STOPPED_WITHOUT_MOVE
    if reason in TIME_RAN_OUT:
        if abs(share_of_max_profit) < FLAT_SHARE:
            return LessonCode.TIME_EXIT_FLAT
        gained = share_of_max_profit > 0
        return LessonCode.TIME_EXIT_PROFIT if gained else LessonCode.TIME_EXIT_LOSS
    if reason is ExitReason.EXPIRED:
        kept = share_of_max_profit > 0
        return LessonCode.EXPIRED_WORTHLESS if kept else LessonCode.EXPIRED_LOSS
    delivered = reason in (ExitReason.ASSIGNED, ExitReason.EXERCISED)
    if reason is ExitReason.ROLLED:
        return LessonCode.ROLLED
    return LessonCode.ASSIGNED if delivered else LessonCode.CLOSED_BY_HAND
