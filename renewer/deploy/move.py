"""One certificate's part in a transaction."""

from datetime import timedelta

from renewer import clock, copies
from renewer.context import Context
from renewer.hooks import HookCertificate, HookResult
from renewer.model.facts import DeploymentState, Situation, Version
from renewer.network import verify
from renewer.observe import targets_of
from renewer.policy.window import in_last_wakes


class Move:
    """One certificate's part in the transaction: from which version to which, and how far it came."""

    def __init__(
        self,
        context: Context,
        situation: Situation,
        version: Version,
        hooks_to_call: tuple[str, ...],
        wake: timedelta | None = None,
    ) -> None:
        self.context = context
        self.situation = situation
        self.wish = situation.wish
        self.version = version
        self.former = _former(situation, version)
        self.hooks = hooks_to_call
        self.wake = wake or situation.wake
        self.copied: list[copies.Written] = []
        self.deployed: list[str] = []  # hooks whose servers may have loaded the new version
        self.states: dict[str, tuple[DeploymentState, HookResult | None]] = {}
        self.error: str | None = None
        self.hint = ""
        self.passed_by: tuple[str, ...] = ()  # why copies were left alone
        self.note = ""  # what is good to know though all went well
        self.is_back = False  # link and copies are the former's, for a test or for good
        self.turned_back = False  # for good

    @property
    def turns(self) -> bool:
        """Whether the link moves at all."""
        return self.situation.live != self.version.id

    @property
    def stands(self) -> bool:
        """Whether the new version is still what is to be served."""
        return not self.turned_back

    def may_turn_back(self) -> bool:
        """Only to a version that is valid, not revoked, not a placeholder, and another one."""
        former = self.former
        if former is not None and former.id in self.situation.revoked:
            return False
        if former is None or former.placeholder or former.id == self.version.id or self.turned_back:
            return False
        return former.leaf.not_after > clock.now()

    @property
    def serves(self) -> Version:
        """The version that is live for this certificate now."""
        return self.former if self.is_back and self.former else self.version

    @property
    def ending(self) -> bool:
        """Whether what was served before ends so soon that too few runs are left to try again."""
        return self.former is not None and in_last_wakes(self.former.leaf, clock.now(), self.wake)

    @property
    def targets(self) -> list[verify.Target]:
        """Its ports."""
        return targets_of(self.context, self.situation, self.serves)

    def told(self, version: Version) -> HookCertificate:
        """What a hook is told of this certificate when `version` is live."""
        live = self.context.store.path(self.wish.name)
        return HookCertificate(
            name=self.wish.name,
            names=tuple(str(name) for name in self.wish.names),
            version=version.id,
            live=live,
            privkey=None if version.csr else f"{live}/privkey.pem",
            cert=f"{live}/cert.pem",
            chain=f"{live}/chain.pem",
            fullchain=f"{live}/fullchain.pem",
            previous=self.former.id if self.former else None,
            not_after=version.leaf.not_after,
            serial=version.leaf.serial,
        )


def _former(situation: Situation, version: Version) -> Version | None:
    """What was live before: if a run was killed behind the link, what it wrote down.

    Only a deployment that no server has completed yet may still be turned back.
    """
    live = situation.live_version
    if live is None or live.id != version.id:
        return live
    records = [record for record in situation.deployments if record.version == version.id]
    required = [record for record in records if record.hook not in situation.optional]
    if not required or any(record.state is DeploymentState.DONE for record in records):
        return live
    before = {record.previous for record in records}
    return next((one for one in situation.versions if one.id in before), live)
