"""Clinics, clinicians, patients, invites and tokens from the command line. Alone on a line is what a script needs."""

import unicodedata
from uuid import UUID

import click
import msgspec

from companion_sdk.wire.people import Email

from ..people import service
from ..settings import Settings
from . import operating, options, output


def _words(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """A name as the contract allows it: 1 to 120 characters, NFC, no control characters."""
    text = unicodedata.normalize("NFC", value).strip()
    if not 1 <= len(text) <= 120 or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
        raise click.BadParameter("must be 1 to 120 characters without control characters", ctx, param)
    return text


def _email(ctx: click.Context, param: click.Parameter, value: str) -> str:
    try:
        return msgspec.convert(value, Email) if value else ""
    except msgspec.ValidationError as error:
        raise click.BadParameter("is not an address", ctx, param) from error


storage_options = options.takes(*options.STORAGE)


@click.group()
def clinic() -> None:
    """Add and list clinics."""


@clinic.command("add")
@click.argument("name", callback=_words)
@click.option("--site", callback=_words, required=True, help="Where patients come to.")
@options.as_json
@storage_options
def add_clinic(settings: Settings, name: str, site: str, as_json: bool) -> None:
    """Add a clinic; prints its id."""
    made = operating.write(settings, service.add_clinic, name, site)
    output.show(as_json, {"clinic_id": made, "name": name, "site": site}, str(made))


@clinic.command("list")
@options.as_json
@storage_options
def list_clinics(settings: Settings, as_json: bool) -> None:
    """List the clinics."""
    found = operating.read(options.existing(settings), service.clinics)
    rows = [{"clinic_id": row.id, "name": row.name, "site": row.site} for row in found]
    output.table(as_json, rows)


@click.group()
def clinician() -> None:
    """Add and list clinicians; give one a sign-in code."""


@clinician.command("add")
@click.argument("name", callback=_words)
@click.option("--clinic", type=click.UUID, required=True, help="The clinic's id.")
@click.option("--email", default="", callback=_email, help="Kept sealed.")
@options.as_json
@storage_options
def add_clinician(settings: Settings, name: str, clinic: UUID, email: str, as_json: bool) -> None:
    """Add a clinician; prints her id."""
    made = operating.write(options.existing(settings), service.add_clinician, clinic, name, email)
    output.show(as_json, {"clinician_id": made, "clinic_id": clinic, "name": name}, str(made))


@clinician.command("code")
@click.argument("clinician", type=click.UUID)
@options.as_json
@storage_options
def clinician_code(settings: Settings, clinician: UUID, as_json: bool) -> None:
    """Make a sign-in code of one use and fifteen minutes."""
    code = operating.write(options.existing(settings), service.clinician_code, clinician)
    minutes = int(service.CODE_LASTS.total_seconds() // 60)
    output.show(as_json, {"code": code, "clinician_id": clinician, "minutes": minutes}, code)


@clinician.command("list")
@options.as_json
@storage_options
def list_clinicians(settings: Settings, as_json: bool) -> None:
    """List the clinicians."""
    found = operating.read(options.existing(settings), service.clinicians)
    rows = [{"clinician_id": row.id, "clinic_id": row.clinic_id, "name": row.profile.name} for row in found]
    output.table(as_json, rows)


@click.group()
def patient() -> None:
    """Add and list patients."""


@patient.command("add")
@click.argument("name", callback=_words)
@click.option("--clinic", type=click.UUID, required=True, help="The clinic's id.")
@click.option("--zone", required=True, help="Time zone, such as America/New_York.")
@options.as_json
@storage_options
def add_patient(settings: Settings, name: str, clinic: UUID, zone: str, as_json: bool) -> None:
    """Add a patient; prints the id. `companion invite` then signs a phone in."""
    made = operating.write(options.existing(settings), service.add_patient, clinic, name, zone)
    output.show(as_json, {"patient_id": made, "clinic_id": clinic, "name": name, "zone": zone}, str(made))


@patient.command("list")
@options.as_json
@storage_options
def list_patients(settings: Settings, as_json: bool) -> None:
    """List the patients."""
    found = operating.read(options.existing(settings), service.patients)
    rows = [
        {"patient_id": row.id, "clinic_id": row.clinic_id, "name": row.profile.name, "zone": row.profile.zone}
        for row in found
    ]
    output.table(as_json, rows)


@click.command()
@click.argument("patient", type=click.UUID)
@options.as_json
@storage_options
def invite(settings: Settings, patient: UUID, as_json: bool) -> None:
    """Make a code with which a patient's phone signs in once, within seven days."""
    made = operating.write(options.existing(settings), service.invite_for, patient)
    output.show(as_json, made, made.code)


@click.command()
@click.option("--patient", type=click.UUID, help="For a device of this patient.")
@click.option("--clinician", type=click.UUID, help="For this clinician.")
@click.option("--days", type=click.IntRange(1, 365), default=90, show_default=True, help="How long it lasts.")
@options.as_json
@storage_options
def token(settings: Settings, patient: UUID | None, clinician: UUID | None, days: int, as_json: bool) -> None:
    """Make a token that signs in as a patient or a clinician. It is shown here and nowhere again."""
    if (patient is None) == (clinician is None):
        raise click.UsageError("name either --patient or --clinician")
    made = operating.write(options.existing(settings), service.operator_token, patient, clinician, days)
    output.show(as_json, {"token": made, "patient_id": patient, "clinician_id": clinician, "days": days}, made)
