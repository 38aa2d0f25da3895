"""What a run did, on one page: curves beside baselines, corpus, what differs from the published recipe."""
