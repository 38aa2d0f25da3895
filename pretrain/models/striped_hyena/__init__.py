"""Evo 1: gated convolutions with a few layers of attention between them, over bytes.

What a reader of the release stumbles over:

* RMSNorm adds eps to the root, not inside it: ``scale x / (rms(x) + eps)``.
* The three projections of a convolution are interleaved **per head** (heads, 3, head size), in the order x2, x1, v;
  ``column_split_hyena`` is on by default upstream and published weights need it.
* A filter is a sum of decaying waves, ``Re(sum R lambda^t)``; poles and residues stay float32 beside bfloat16 weights.
  ``hyena_filter_groups`` is a divisor: 1 means a filter for every channel.
* The 131k release divides rotary positions by 16 (``rope_scaling`` linear 16); everything else is the 8k model.
* Training code, its first weights and its optimizer are not public. The repository's first weights are placeholders for
  inference (poles next to 0); small models here start as ``initialization`` says, which is our choice, not Evo's.
* Right padding changes nothing for real tokens, left padding does; packed sequences have neither.
* 7 B parameters: a cluster imports, evaluates and shards it; what trains on one machine is a small twin.
"""
