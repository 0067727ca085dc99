"""Profiles in the order of preference: the first that is offered is asked for."""

from datetime import timedelta

from renewer.model.decision import Step
from tests.faults.host import Host, failed
from tests.servers.bendable import Bendable
from tests.servers.bends import Call

DAY = timedelta(days=1)


def test_the_first_profile_that_is_offered(bent_host: Host, bent: Bendable) -> None:
    """One that the authority does not have is passed over; what was issued under any of them stays."""
    bent.profiles = {"long": 90 * DAY, "short": 6 * DAY}
    bent_host.certificates["www"]["profile"] = ["eternal", "short", "long"]
    bent_host.write_config()
    assert bent_host.run().exit == 0
    assert bent_host.live().profile == "short"

    bent.profiles = {"eternal": 400 * DAY, "short": 6 * DAY}  # that a better one came is no reason to order
    assert bent_host.decision().step is Step.KEEP
    bent_host.certificates["www"]["profile"] = ["long", "short"]
    bent_host.write_config()
    assert bent_host.decision().step is Step.KEEP

    bent.profiles = {"long": 90 * DAY, "short": 6 * DAY}  # but the next renewal asks for it
    bent_host.run(force=True, asked=True, only=frozenset({"www"}))
    assert bent_host.live().profile == "long"

    bent_host.certificates["www"]["profile"] = ["medium"]  # and one that is named no more is replaced
    bent_host.write_config()
    assert bent_host.decision().step is Step.ISSUE


def test_none_of_the_profiles_is_offered(bent_host: Host, bent: Bendable) -> None:
    """Then nothing is ordered, and all are named beside what there is."""
    bent.profiles = {"long": 90 * DAY, "short": 6 * DAY}
    bent_host.certificates["www"]["profile"] = ["eternal", "tlsserver"]
    bent_host.write_config()
    assert failed(bent_host.run()) == [
        "bent has no profile 'eternal' and no 'tlsserver'; it offers long, short"
    ]
    assert bent.requests(Call.NEW_ORDER) == []
