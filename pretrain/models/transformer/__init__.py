"""The transformer: packed, without padding, with a switch for every published choice."""
