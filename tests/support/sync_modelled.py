"""The sync machine on the pure model, with seeded faults."""

from . import sync_model, sync_phone
from .sync_machine import SyncMachine


def modelled(machine: type[SyncMachine], *faults: str) -> type[SyncMachine]:
    """The machine on the model; its phones' clocks are minutes apart."""
    at_service = [fault for fault in faults if fault in sync_model.FAULTS]
    at_phone = [fault for fault in faults if fault in sync_phone.FAULTS]

    class Modelled(machine):  # type: ignore[valid-type, misc]
        def service(self) -> sync_model.Server:
            return sync_model.Server(*at_service)

        def phone(self, number: int) -> sync_phone.Phone:
            return sync_phone.Phone(*at_phone, skew=15 * (number - 1))

    return Modelled
