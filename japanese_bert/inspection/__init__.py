"""Training data and corpora -> a report for people: numbers, pictures, samples, and what is unusual."""
