"""HTTP glue and nothing else: the request, limits, problems, verbs, the OpenAPI document. Knows no slice."""
