"""ERNIE-RNA's attention: a base-pairing bias, and scores handed from layer to layer."""
