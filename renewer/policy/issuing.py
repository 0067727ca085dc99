"""Checks about orders: is one open, is one due, is one for fewer names better than none?"""

from datetime import datetime, timedelta

from msgspec.structs import replace

from renewer.model.decision import Reason, Step
from renewer.model.facts import Order, OrderState, Situation, Version
from renewer.model.names import Identifier
from renewer.policy.authority import relevant
from renewer.policy.backoff import EMERGENCY_STEP, forced_again, from_the_future, issue_again
from renewer.policy.budget import OrderTerms, Withheld, next_order
from renewer.policy.checks import Facts, Need, window_of
from renewer.policy.newer import ahead, order_by
from renewer.policy.orders import Fate, fate
from renewer.policy.terms import Terms
from renewer.policy.wanted import acceptance, best, fits_in_part, in_part, lifetime, order_fits, withheld
from renewer.policy.window import emergency_span, in_last_hours, judge, renewal_moment
from renewer.words import stamp

# Where nothing valid is served, some names are better than none after so many failures and so long
FAILURES_BEFORE_SOME = 2
PATIENCE_AT_FIRST = timedelta(hours=1)


def an_order_is_open(facts: Facts) -> Need | None:
    """An order that still fits is finished, never ordered a second time."""
    order = facts.situation.order
    if order is None or order.state not in (OrderState.INTENT, OrderState.OPEN):
        return None
    if not facts.situation.order_ready or not _goes_on(facts, order):
        return None
    if order.state is OrderState.INTENT and not _is_due(facts):
        return None  # nobody was asked yet, and there is no need any more
    if facts.terms.new_key and facts.situation.wish.reuse_key:
        return None  # its key may be the old one
    text = f"an order at {order.authority} since {stamp(order.at)} is not finished"
    if _passed_over(facts, order):
        return None
    return Need(
        step=Step.RESUME,
        reason=Reason.ORDER_OPEN,
        because=text,
        not_before=_held_by(facts, order.authority),
        since=_failed_at(facts, order.authority),
        authority=order.authority,
    )


def _is_due(facts: Facts) -> bool:
    version, terms = facts.wanted, facts.terms
    if version is None or terms.force:
        return True
    window = window_of(facts.situation, version)
    return judge(version, window, facts.situation.wish.renew_before, terms.now, terms.wake).due


def it_is_issued_and_not_installed(facts: Facts) -> Need | None:
    """The chain was downloaded and lies beside its key."""
    order = facts.situation.order
    if order is None or order.state is not OrderState.ISSUED:
        return None
    text = f"{order.authority} has issued it, it is not a version on disk yet"
    return Need(step=Step.INSTALL, reason=Reason.ISSUED_NOT_INSTALLED, because=text)


def a_new_key_is_asked_for(facts: Facts) -> Need | None:
    """A person wants another key, whatever is due: with the renewal, and though keys are kept."""
    if not facts.terms.new_key or facts.situation.wish.csr is not None or _under_way(facts):
        return None
    return _issue(facts, Reason.NEW_KEY, "a new key was asked for")


def nothing_is_wanted(facts: Facts) -> Need | None:
    """There is no version that fits the wish and may be used."""
    if facts.wanted is not None or _under_way(facts):
        return None
    live = facts.live
    if live is None or live.placeholder:
        reason, text = Reason.ABSENT, "there is no certificate yet"
    elif live.leaf.not_after <= facts.terms.now:
        reason, text = Reason.EXPIRED, f"the live one expired at {stamp(live.leaf.not_after)}"
    elif live.degraded and fits_in_part(live, facts.situation):
        missing = [str(name) for name in facts.situation.wish.names if name not in live.leaf.names]
        reason, text = Reason.NAMES_FAIL, f"the live one is without {', '.join(missing)}"
    elif live.id in facts.situation.revoked:
        reason, text = Reason.REVOKED, f"the live one, serial {live.leaf.serial}, was revoked"
    else:
        reason, text = (
            Reason.WISH_CHANGED,
            "no version has the names, key, authority and profile of the config",
        )
    return _issue(facts, reason, text)


def the_wanted_version_is_due(facts: Facts) -> Need | None:
    """Its moment has come; it is the wanted version that is judged, never the live one."""
    version, terms = facts.wanted, facts.terms
    if version is None or _under_way(facts):
        return None
    window = window_of(facts.situation, version)
    verdict = judge(version, window, facts.situation.wish.renew_before, terms.now, terms.wake)
    if verdict.due:
        return _issue(facts, verdict.reason, verdict.because)
    if terms.force:
        return _issue(facts, Reason.FORCED, "a new one was asked for")
    return None


def the_state_is_older(facts: Facts) -> Need | None:
    """A port or a copy holds what came after ours, and we have no key of it: ours must not take its place.

    After a day, for the newer state may yet be restored; at once when a person asks.
    """
    situation, terms = facts.situation, facts.terms
    moment = order_by(situation)
    shown = [f"{seen.endpoint} serves" for seen in ahead(situation)]
    shown += [f"{copy.path} holds" for copy in situation.copies if copy.newer]
    if not shown or facts.wanted is None or _under_way(facts):
        return None
    if not (terms.asked or (moment is not None and moment <= terms.now)):
        return None
    text = f"{shown[0]} a certificate that is newer than this state, whose key is not here"
    return _issue(facts, Reason.STATE_IS_OLDER, text)


def clients_refuse_the_newest(facts: Facts) -> Need | None:
    """Clients refuse what was issued, and a good one is live: once more when it is late, and once at the end.

    The authority has signed it as it was asked; only a changed configuration makes it likely to sign another.
    """
    now, live = facts.terms.now, facts.live
    refused = withheld(facts.situation, now)
    if refused is None or live is None or _under_way(facts):
        return None
    ends = live.leaf.not_after
    moment = renewal_moment(live, window_of(facts.situation, live), facts.situation.wish.renew_before)
    late = ends - max(ends - moment.at, timedelta(0)) / 2
    begun = [begin for begin in (late, ends - emergency_span(live.leaf.lifetime)) if begin <= now]
    if not begun or refused.made_at >= max(begun):
        return None
    why = acceptance(facts.situation, refused)
    text = (
        f"clients refuse version {refused.id}: {why.why if why else ''}; the live one ends at {stamp(ends)}"
    )
    return _issue(facts, Reason.REFUSED, text)


def it_ends_soon_and_some_names_fail(facts: Facts) -> Need | None:
    """Rather a certificate for the names that validate than none for any.

    It steps in at the very end of the full one; where nothing valid is served, after the second failure and
    an hour. `names_that_validate` knows whose challenge failed, whatever the cause was and on whose side.
    """
    names, now = names_that_validate(facts.situation), facts.terms.now
    if not names or _under_way(facts, names):
        return None
    part = in_part(facts.situation, now)
    if part is not None and set(names) <= set(part.leaf.names) and not in_last_hours(part.leaf, now):
        return None
    known = relevant(facts.situation)
    left = ", ".join(str(name) for name in facts.situation.wish.names if name not in names)
    ending, patient = _ending(facts), None
    if ending is not None:
        if not in_last_hours(ending.leaf, now):
            return None
        ends = stamp(ending.leaf.not_after)
        because = f"it ends at {ends}, {left} cannot be validated: one for the others"
    else:
        if sum(one.count for one in known.values()) < FAILURES_BEFORE_SOME:
            return None
        patient = min(one.since for one in known.values())
        because = f"nothing valid is served, {left} cannot be validated: one for the others"
    need = Need(
        step=Step.ISSUE,
        reason=Reason.NAMES_FAIL,
        because=because,
        not_before=_some_held(facts, patient),
        since=patient,
        authority=facts.choice.authority,
        names=names,
    )
    return _within(facts, need, next_order(facts.situation, facts.choice.authority, facts.terms.call))


def _some_held(facts: Facts, patient: datetime | None) -> datetime | None:
    """Until when a certificate for some names waits; `patient` is since when nothing valid is served."""
    now, failure = facts.terms.now, relevant(facts.situation).get(facts.choice.authority)
    held = None
    if failure is not None:
        asked = forced_again(failure, best(facts.situation, now), now)
        held = asked if failure.named or facts.terms.asked else failure.at + EMERGENCY_STEP
    if patient is not None and not (facts.terms.asked or from_the_future(patient, now)):
        held = max(held or patient, patient + PATIENCE_AT_FIRST)
    return held


def _ending(facts: Facts) -> Version | None:
    """The valid certificate whose end is to be waited for: all names of it are better than some."""
    ending = facts.wanted or facts.live
    if ending is None or ending.placeholder or ending.id in facts.situation.revoked:
        return None
    return None if ending.degraded and ending.leaf.not_after <= facts.terms.now else ending


def names_that_validate(situation: Situation) -> tuple[Identifier, ...]:
    """The names that nobody is known to have refused; empty if all do, or if none is left.

    Empty also of a request of the operator's: its names are what they are.
    """
    if not situation.failures or situation.wish.csr is not None:
        return ()
    failed = {name for failure in relevant(situation).values() for name, _ in failure.identifiers}
    good = tuple(name for name in situation.wish.names if str(name) not in failed)
    return good if len(good) < len(situation.wish.names) else ()


def _under_way(facts: Facts, names: tuple[Identifier, ...] = ()) -> bool:
    """Whether an order that fits exists already: then RESUME or INSTALL speaks, never a second ISSUE.

    With `names`, those that are left of a failing set, an open order for more of them is in nobody's way.
    """
    order = facts.situation.order
    if order is None or not _goes_on(facts, order):
        return False
    if facts.terms.new_key and facts.situation.wish.reuse_key and order.state is not OrderState.ISSUED:
        return False
    if names and order.state is not OrderState.ISSUED and not set(order.identifiers) <= set(names):
        return False
    return order.state is OrderState.ISSUED or (
        order.state is not OrderState.ABANDONED
        and facts.situation.order_ready
        and not _passed_over(facts, order)
    )


def _goes_on(facts: Facts, order: Order) -> bool:
    """Whether an order is still for what the config asks, and leads anywhere."""
    terms = facts.terms
    return (
        order_fits(order, facts.situation)
        and fate(order, facts.situation, terms.now, force=terms.force) is Fate.KEPT
    )


def _passed_over(facts: Facts, order: Order) -> bool:
    """Whether its authority is to be left alone for now, and another one's turn has come.

    Else an order begun at an authority that is down would keep everybody else from being asked.
    """
    if order.authority in facts.terms.passed_over and facts.choice.authority != order.authority:
        return True
    held = _held_by(facts, order.authority)
    return facts.choice.authority != order.authority and held is not None and held > facts.terms.reached


def _held_by(facts: Facts, authority: str) -> datetime | None:
    """Until when an authority is left alone; a person overrules backoff, never what it asked for."""
    failure = relevant(facts.situation).get(authority)
    if failure is None:
        return None
    meanwhile = best(facts.situation, facts.terms.now)
    if facts.terms.force or facts.terms.asked:
        return forced_again(failure, meanwhile, facts.terms.now)
    part = in_part(facts.situation, facts.terms.now)
    now, begun = facts.terms.now, facts.terms.begun
    lives = lifetime(facts.situation, now)
    return issue_again(failure, meanwhile, now, part, begun=begun, lifetime=lives)


def _failed_at(facts: Facts, authority: str) -> datetime | None:
    failure = relevant(facts.situation).get(authority)
    return failure.at if failure else None


def _issue(facts: Facts, reason: Reason, because: str) -> Need:
    choice = facts.choice
    overruled = facts.terms.force or facts.terms.asked
    held = choice.not_before if choice.hold is None else None
    if overruled:
        held = _held_by(facts, choice.authority)
    if choice.failure:
        because = f"{because}; last time: {choice.failure.text}"
    need = Need(
        step=Step.ISSUE,
        reason=reason,
        because=because,
        not_before=held,
        since=_failed_at(facts, choice.authority),
        authority=choice.authority,
    )
    call = replace(calling(facts.situation, facts.terms), renewal=reason in RENEWALS)
    return _within(facts, need, next_order(facts.situation, choice.authority, call))


RENEWALS = frozenset(
    {
        Reason.WINDOW_REACHED,
        Reason.WINDOW_WOULD_BE_MISSED,
        Reason.LIFETIME_SHARE,
        Reason.RENEW_BEFORE,
        Reason.STATE_IS_OLDER,
    }
)
"""Reasons by which a good certificate is due again: an authority that gives them daily is not obeyed."""


def calling(situation: Situation, terms: Terms) -> OrderTerms:
    """What the order budget must know of an order for all names.

    One order is spared for those names that validate, as long as there is no certificate for them.
    """
    names = names_that_validate(situation)
    part = in_part(situation, terms.now) if names else None
    missing = bool(names) and (part is None or not set(names) <= set(part.leaf.names))
    return replace(terms.call, spare=1 if missing else 0)


def _within(facts: Facts, need: Need, hold: Withheld | None) -> Need:
    """The same, held back by the order budget, or because this run has ordered these names there already."""
    names = frozenset(str(name) for name in need.names or facts.situation.wish.names)
    if (need.authority, names) in facts.terms.ordered:
        text = "; it was ordered in this run: the next one goes on"
        hold = Withheld(facts.terms.now + facts.terms.wake, f"{need.because}{text}")
    elif hold is not None:
        hold = hold._replace(because=f"{need.because}; {hold.because}")
    if hold is None or (need.not_before is not None and need.not_before >= hold.until):
        return need
    return replace(
        need,
        because=hold.because,
        not_before=hold.until,
        since=hold.until,  # not even a little early: it would add up
        waits_for=Reason.ORDER_BUDGET,
    )
