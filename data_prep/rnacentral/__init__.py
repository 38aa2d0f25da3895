"""RNAcentral: records, types, presets."""
