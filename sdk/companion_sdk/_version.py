"""The version this SDK tells the service; a test holds it to the package's own."""

VERSION = "0.1.0"
AGENT = f"companion-sdk/{VERSION}"
