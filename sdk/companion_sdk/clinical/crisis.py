"""Where to turn in a moment of danger, and the words around it; knows no person and claims nothing was done for them.

A site sets its own resources; these are the defaults for the United States. Sources: 988lifeline.org ("What to
expect") and SAMHSA's National Helpline page. The words never say that someone was told, because nobody was until a
human has acknowledged it.
"""

from collections.abc import Sequence

from companion_sdk import wire

_ALWAYS = {"en": "24 hours a day, 7 days a week", "es": "Las 24 horas, los 7 días de la semana"}

_RESOURCES = {
    "en": (
        wire.CrisisResource(
            name="988 Suicide & Crisis Lifeline (when you call, press 2 for Spanish or 1 for veterans)",
            call="988",
            text="988",
            chat="https://988lifeline.org",
            languages=("en", "es"),
            hours=_ALWAYS["en"],
        ),
        wire.CrisisResource(
            name="Emergency services, when someone is in immediate danger",
            call="911",
            languages=("en",),
            hours=_ALWAYS["en"],
        ),
        wire.CrisisResource(
            name="SAMHSA National Helpline for substance use and mental health",
            call="1-800-662-4357",
            languages=("en", "es"),
            hours=_ALWAYS["en"],
        ),
    ),
    "es": (
        wire.CrisisResource(
            name="988 Línea de Prevención del Suicidio y Crisis (al llamar, oprima 2; por mensaje, envíe AYUDA)",
            call="988",
            text="988",
            chat="https://988lifeline.org",
            languages=("es", "en"),
            hours=_ALWAYS["es"],
        ),
        wire.CrisisResource(
            name="Servicios de emergencia, si alguien está en peligro inmediato",
            call="911",
            languages=("en",),
            hours=_ALWAYS["es"],
        ),
        wire.CrisisResource(
            name="Línea Nacional de Ayuda de SAMHSA, sobre consumo de sustancias y salud mental",
            call="1-800-662-4357",
            languages=("es", "en"),
            hours=_ALWAYS["es"],
        ),
    ),
}

_SUPPORT = {
    "en": (
        "Thank you for saying so. You do not have to get through this alone: you can talk to a person right now, at "
        "any of the places below. If you or someone near you is in immediate danger, call the emergency number."
    ),
    "es": (
        "Gracias por decirlo. No tiene que pasar por esto a solas: puede hablar con una persona ahora mismo, en "
        "cualquiera de los lugares que siguen. Si usted o alguien cerca está en peligro inmediato, llame al número de "
        "emergencia."
    ),
}

NOT_WATCHED = {
    "en": "This app is not watched live. Your team may not see this until {hours}.",
    "es": "Nadie vigila esta aplicación en vivo. Es posible que su equipo no vea esto hasta: {hours}.",
}
"""The fixed sentence by language; ``{hours}`` is when the site is there again, in the site's own words."""

_USUAL_HOURS = {"en": "the next working day", "es": "el siguiente día hábil"}


def usual_hours(language: str = "en") -> str:
    """When a team that says nothing else reads the diary again, in ``language`` (English where unknown)."""
    return _USUAL_HOURS[_known(language)]


def us_resources(language: str = "en") -> tuple[wire.CrisisResource, ...]:
    """The resources of the United States, in the order to show them, named in ``language`` (English where unknown)."""
    return _RESOURCES[_known(language)]


def crisis(
    resources: Sequence[wire.CrisisResource], hours: str, plan_url: str | None = None, language: str = "en"
) -> wire.Crisis:
    """Everything to show at once to someone in danger: words, ``resources`` in their order, the person's own plan.

    ``hours``: when the site's team reads the diary again, in the site's words. An unknown ``language`` gets English,
    since help in the wrong language is better than an error; a regional tag ("es-MX") gets its language.

    Raises:
        ValueError: when there is no resource, a resource cannot be reached, or any string is blank.
    """
    if not resources:
        raise ValueError("crisis: at least one resource is needed")
    for place, resource in enumerate(resources, start=1):
        _check(f"crisis: resource {place}", resource)
    if not hours.strip() or (plan_url is not None and not plan_url.strip()):
        raise ValueError("crisis: hours and plan_url must not be blank")
    known = _known(language)
    return wire.Crisis(
        text=f"{_SUPPORT[known]} {NOT_WATCHED[known].format(hours=hours)}",
        resources=tuple(resources),
        monitored=False,
        hours=hours,
        plan_url=plan_url,
    )


def _check(where: str, resource: wire.CrisisResource) -> None:
    ways = [way for way in (resource.call, resource.text, resource.chat) if way is not None]
    if not ways:
        raise ValueError(f"{where} has no call, text or chat")
    if not resource.languages:
        raise ValueError(f"{where} names no language")
    if not all(text.strip() for text in (resource.name, resource.hours, *resource.languages, *ways)):
        raise ValueError(f"{where} has a blank string")


def _known(language: str) -> str:
    primary = language.split("-")[0].lower()
    return primary if primary in _SUPPORT else "en"
