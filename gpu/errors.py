"""The refusals that a caller of this app can act on."""

from i2v_site.errors import DomainError


class BadAddress(DomainError):
    """An address that may not be called; the message says what to change."""

    code = "bad_address"


class BadProvider(DomainError):
    """A GPU provider that this installation does not know."""

    code = "invalid"


class RentingOff(DomainError):
    """Nothing is rented: it is switched off, or there is no key."""

    code = "renting_off"
    status = 409


class CapReached(DomainError):
    """It may cost more than a cap on money leaves; the message says which cap, what is left and what to do."""

    code = "cap_reached"
    status = 402


class TooManyMachines(CapReached):
    """One machine more would break the cap on machines, which money does not lift."""

    status = 409


class NoOffer(DomainError):
    """No offer may be taken now, or the one asked for may not."""

    code = "no_offer"
    status = 409


class MachineOver(DomainError):
    """The machine is, or is being, given back."""

    code = "machine_over"
    status = 409


class ModelsNotUploaded(DomainError):
    """A machine would need a model file that is not in the bucket."""

    code = "models_missing"
    status = 409


class StorageSignsNoLinks(DomainError):
    """Files are kept on this computer, where a rented machine cannot fetch them."""

    code = "no_bucket"
    status = 409


class BadModelFile(DomainError):
    """A name or a folder that cannot be a model file's."""

    code = "invalid"
