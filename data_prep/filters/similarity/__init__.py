"""Relatives among nucleotide sequences, without other programs: clusters of them, and leakage between two sets."""

from data_prep.filters.similarity.cluster import clusters, clusters_of_codes, to_codes
from data_prep.filters.similarity.leaks import Leakage, leakage
from data_prep.filters.similarity.relation import Relation

__all__ = ["Leakage", "Relation", "clusters", "clusters_of_codes", "leakage", "to_codes"]
