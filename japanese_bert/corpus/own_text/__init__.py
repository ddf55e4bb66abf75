"""Text as people hold it -> clean documents, without duplicates."""
