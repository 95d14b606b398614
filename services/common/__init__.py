"""Used by two services or more, free of business rules."""
