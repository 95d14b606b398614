"""FastAPI: schemas per operation, routers, problem+json."""
