"""The API's description from the command line."""

import click

from .. import app
from ..web import openapi as document


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The document is JSON in any case.")
def openapi(as_json: bool) -> None:
    """Print the API's description (OpenAPI)."""
    click.echo(document.encoded(app.build()).decode().rstrip())
