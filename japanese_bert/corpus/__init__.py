"""Raw text -> clean documents, dealt to shards."""
