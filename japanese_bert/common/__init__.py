"""What every stage shares: command lines, processes, reports, records of outputs, text on disk."""
