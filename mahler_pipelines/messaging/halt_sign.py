"""What a button that only one person was shown carries in place of a card."""

import hashlib

from mahler_pipelines.execution.halting import unacknowledged_halts
from mahler_pipelines.messaging.ledger import MessagingLedger

SIGN_LENGTH = 16
STATE_SET = "trading_state_set"
"""Kind of the event that the ledger keeps of each change of the trading state."""


def halt_sign(ledger: MessagingLedger, by: str) -> str:
    """Say to whom a halt was shown, and in which state: of another person or halt it is none."""
    state, reason = ledger.trading_state()
    causes = [f"{halt.code}:{halt.cause}:{halt.level}" for halt in unacknowledged_halts(ledger)]
    events = ledger.audit_events(subject=ledger.account_id)
    changes = [event.id for event in events if event.kind == STATE_SET][-1:]
    text = "|".join([ledger.account_id, by, state, reason, *causes, *map(str, changes)])
    return hashlib.sha256(text.encode()).hexdigest()[:SIGN_LENGTH]
