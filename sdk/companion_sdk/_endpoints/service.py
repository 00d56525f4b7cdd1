"""What the service says of itself, and help in a crisis; none of it needs a sign-in."""

from companion_sdk._call import Call, Endpoint, query_of
from companion_sdk.wire import Crisis, Health, Service

SERVICE_GET = Endpoint("GET", "/v1/service", Service, signed=False)
CRISIS_GET = Endpoint("GET", "/v1/crisis", Crisis, signed=False)
LIVE_GET = Endpoint("GET", "/health/live", Health, signed=False)
READY_GET = Endpoint("GET", "/health/ready", Health, signed=False, also=(503,))


class ServiceFacts:
    """What this service understands."""

    @staticmethod
    def get() -> Call[Service]:
        """Version, kinds with their fields, limits and features.

        Example::

            service = client.service.get()
            print(service.version, sorted(service.kinds))
        """
        return SERVICE_GET.call()


class CrisisHelp:
    """Help in a moment of danger."""

    @staticmethod
    def get(language: str | None = None) -> Call[Crisis]:
        """Places to reach a person now, in order. Never sends the token, so it works when the sign-in has ended.

        Example::

            crisis = client.crisis.get("en")
            for resource in crisis.resources:
                print(resource.name, resource.call)

        Args:
            language: a language tag such as ``en`` or ``es-US``.
        """
        return CRISIS_GET.call(query=query_of(language=language))


class HealthChecks:
    """Whether the service is well."""

    @staticmethod
    def live() -> Call[Health]:
        """Whether the service runs at all.

        Example::

            health = client.health.live()
            print(health.status)
        """
        return LIVE_GET.call()

    @staticmethod
    def ready() -> Call[Health]:
        """Whether the service can take calls now; ``checks`` says what is wrong. Does not raise when it is not ready.

        Example::

            health = client.health.ready()
            print(health.status, health.checks)
        """
        return READY_GET.call()
