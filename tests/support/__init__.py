"""What the tests share: databases of both engines, a running service, the cast."""
