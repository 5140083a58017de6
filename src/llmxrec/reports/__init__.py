"""Tables and texts from stored records."""
